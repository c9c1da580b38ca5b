"""Notebooks and cells for the tests of the book's build."""

import pathlib

import chapters
from nbformat import v4

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))

PROSE = """# A chapter

## What would have proved us wrong

```{admonition} Departures from the paper
None.
```

## Take-aways
"""
EXERCISE = """```{{exercise}} A title
:label: ex-{0}
Do it.
```

````{{solution-start}} ex-{0}
:class: dropdown
````
"""


def code(source, *, count=None, tags=(), outputs=(), **metadata):
    cell = v4.new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def stream(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def display(**data):
    return v4.new_output(
        "display_data", data={key.replace("_", "/", 1): value for key, value in data.items()}
    )


def chapter():
    """A small chapter that is fit to commit."""
    cells = [
        v4.new_markdown_cell(PROSE),
        code('profile = "book"\nseed = 0', count=1, tags=["parameters"]),
    ]
    cells.append(code("print('verdict')", count=2, outputs=[stream("verdict: 3 of 3\n")]))
    for number, name in enumerate(("one", "two"), 3):
        cells.append(v4.new_markdown_cell(EXERCISE.format(name)))
        cells.append(code("print(2)", count=number, outputs=[stream("2\n")]))
        cells.append(v4.new_markdown_cell("````{solution-end}\n````"))
    return chapters.clean(v4.new_notebook(cells=cells))
