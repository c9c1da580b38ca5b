"""Notebooks and cells for the tests of the book's build."""

import pathlib

import chapters
from nbformat import v4

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))


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
        v4.new_markdown_cell("# A chapter"),
        code('profile = "book"\nseed = 0', count=1, tags=["parameters"]),
        code("print('verdict')", count=2, outputs=[stream("verdict: 3 of 3\n")]),
        v4.new_markdown_cell("More."),
        code("print(2)", count=3, outputs=[stream("2\n")]),
        code("print(2)", count=4, outputs=[stream("2\n")]),
    ]
    return chapters.clean(v4.new_notebook(cells=cells))
