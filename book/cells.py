"""How a chapter's cells look on its page: folded code, verdicts as lists, bar charts as data for
the page's own script.
"""

import ast
import base64
import html
import json
import re
import struct

import numpy as np
from chapters import BuildFailed
from nbformat import NotebookNode, v4

PLOTLY = "application/vnd.plotly.v1+json"
GLUED = "application/papermill.record/text/plain"
EQUATION = re.compile(r"\beq-\w|\b[Ee]quations?\b|\bEq\. ?[({\d]")  # in a comment or docstring
DRAWING = {"plt", "ax", "axes", "figure", "fig", "sns", "go", "chart", "panel", "viz", "grid"}
STROKES = set(
    "plot hist legend axvline axhline imshow quiver add_patch bar barh scatter errorbar boxplot "
    "fill_between annotate set_xlim set_ylim set_xlabel set_ylabel set_title".split()
)
TELLING = {"glue", "print"}
WIDE = 1.4  # from this width to height on, a figure keeps its size on a phone and scrolls
# A cell is folded when at least this share of its lines imports, glues, prints or draws.
ASIDE = 2 / 3
VERDICT = re.compile(r"(.*\S): (True|False)")
VERDICTS = {"True": ("yes", "✓", "holds"), "False": ("no", "✗", "does not hold")}


def is_aside(node: ast.stmt) -> bool:
    """Whether a statement imports, glues, prints or draws, or only holds statements that do."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    attributes = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    if isinstance(node, ast.Import | ast.ImportFrom) or names & DRAWING or attributes & STROKES:
        return True
    if isinstance(node, ast.For | ast.If | ast.With):
        return all(is_aside(inner) for inner in [*node.body, *getattr(node, "orelse", [])])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func) in TELLING
    return False


def is_folded(source: str, tags: list[str]) -> bool:
    """Whether a code cell is folded on its page: parameters, imports, glue, plots; never one that
    names an equation.

    The tag `show-input` keeps a cell open, `hide-input` folds it.
    """
    if "show-input" in tags or {"hide-input", "hide-cell", "remove-input", "remove-cell"} & {*tags}:
        return False
    remarks = "\n".join(re.findall(r"#.*|\"\"\".*?\"\"\"", source, re.S if '"""' in source else 0))
    if EQUATION.search(remarks):
        return False
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a magic of IPython
        return False
    lines = {True: 0, False: 0}
    for node in statements:
        lines[is_aside(node)] += node.end_lineno - node.lineno + 1
    return "parameters" in tags or lines[True] >= ASIDE * sum(lines.values()) > 0


def verdicts(text: str) -> str | None:
    """Lines `sentence: True` as a list with ticks and crosses; None for any other text."""
    items = []
    for line in text.strip().splitlines() or [""]:
        match = VERDICT.fullmatch(line)
        if not match:
            return None
        sentence, value = match.groups()
        kind, mark, said = VERDICTS[value]
        seen = f'<span class="atri-mark" aria-hidden="true">{mark}</span>'
        spoken = f'<span class="atri-spoken">{said}: </span>'
        items.append(f'<li class="{kind}">{seen}{spoken}{html.escape(sentence)}</li>')
    return f'<ul class="atri-verdicts">{"".join(items)}</ul>'


def is_wide(picture: str) -> bool:
    """Whether a PNG in base64 holds panels side by side: by its width and height, bytes 16 to
    24.
    """
    width, height = struct.unpack(">II", base64.b64decode(picture[:32])[16:24])
    return width > WIDE * height


def published(notebook: NotebookNode) -> NotebookNode:
    """An executed chapter as its page has it: the cell that papermill injects parameters with is
    run but not shown, code is folded, verdicts are lists, bar charts have the book's own form.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.setdefault("tags", [])
        if "injected-parameters" in tags:
            tags.append("remove-cell")
        if is_folded(cell.source, tags):
            tags.append("hide-input")
        for output in cell.get("outputs", []):
            publish(output, cell)
    return notebook


def publish(output: NotebookNode, cell: NotebookNode) -> None:
    """Give an output of a cell the form that its page shows.

    Glued numpy numbers are written as plain ones, which {glue:text}`name:.1f` can format:
    `np.float64(60.0)` becomes `60.0`.
    """
    listed = verdicts(output.text) if output.get("name") == "stdout" else None
    if listed:
        data = {"text/html": listed, "text/plain": output.text}
        output.clear()
        output.update(v4.new_output("display_data", data=data))
    data = output.get("data", {})
    if "image/png" in data and is_wide(data["image/png"]):
        shown = cell.metadata.setdefault("mystnb", {})
        shown.setdefault("image", {})["classes"] = "atri-panels"
    figure = data.pop(PLOTLY, None)
    if figure:
        label = data.get("text/plain", "").removeprefix("[interactive figure] ")
        data["text/html"] = bars(figure, label)
    if GLUED in data:
        data[GLUED] = plain_number(data[GLUED])


def plain_number(text: str) -> str:
    """`np.float64(60.0)` as `60.0`, any other text as it is."""
    return re.sub(r"\Anp\.\w+\((.*)\)\Z", r"\1", text)


def numbers(values) -> list:
    """An array as plotly writes it, in base64 or as a list."""
    if not isinstance(values, dict):
        return list(values)
    return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"]).tolist()


def bars(figure: dict, label: str) -> str:
    """A plotly figure (JSON) of bars, grouped or with a slider that shows one group at a time, as
    data for atri.js. label: what it shows.

    Raises BuildFailed for any other figure: pages do without plotly's 4.8 MB.
    """
    traces, layout = figure["data"], figure["layout"]
    sliders = layout.get("sliders", [])
    fits = all(len(slider["steps"]) == len(traces) for slider in sliders)
    for one in traces:
        fits = fits and one["type"] == "bar" and one.get("orientation") != "h"
        fits = fits and "x" in one and "color" in one.get("marker", {})
    if not fits:
        said = "with places and colours, one step of a slider for each"
        raise BuildFailed(f"only upright bars have a form on pages, {said}: {label}")
    series = []
    for trace in traces:
        bar = {
            "name": trace.get("name", ""),
            "colour": trace["marker"]["color"],
            "x": numbers(trace["x"]),
            "y": numbers(trace["y"]),
            "more": numbers(trace.get("customdata", [])),
        }
        series.append(bar)
    titles = {axis: layout.get(f"{axis}axis", {}).get("title", {}).get("text", "") for axis in "xy"}
    data = {"series": series, "titles": titles, "range": layout.get("yaxis", {}).get("range")}
    more = re.match(r"([\w ]+?) %\{customdata\}", traces[0].get("hovertemplate", ""))
    if more:
        data["more"] = more[1]
    for slider in sliders:
        data["slider"] = {
            "label": slider["currentvalue"]["prefix"].strip(),
            "values": [step["label"] for step in slider["steps"]],
            "active": slider.get("active", 0),
        }
    inner = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    script = f'<script type="application/json">{inner}</script>'
    return f'<div class="atri-bars" role="group" aria-label="{html.escape(label)}">{script}</div>'
