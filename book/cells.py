"""How a chapter's cells look on its page: folded code, verdicts as lists, bar charts as data for
the page's own script.

The script draws bars so that plotly's 4.8 MB stay at home.
"""

import ast
import base64
import html
import json
import re
import struct

import numpy as np
from nbformat import NotebookNode, v4

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
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in DRAWING:
            return True
        if isinstance(part, ast.Attribute) and part.attr in STROKES:
            return True
    if isinstance(node, ast.For | ast.If | ast.With):
        return all(is_aside(inner) for inner in [*node.body, *getattr(node, "orelse", [])])
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node.value.func
    return isinstance(called, ast.Name) and called.id in TELLING


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
    found = [VERDICT.fullmatch(line) for line in text.strip().splitlines()]
    if not found or not all(found):
        return None
    items = []
    for match in found:
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


def arranged(notebook: NotebookNode) -> NotebookNode:
    """A chapter with its code folded, its verdicts as lists and its bar charts in the book's own
    form.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.setdefault("tags", [])
        if is_folded(cell.source, tags):
            tags.append("hide-input")
        for number, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if "image/png" in data and is_wide(data["image/png"]):
                shown = cell.metadata.setdefault("mystnb", {})
                shown.setdefault("image", {})["classes"] = "atri-panels"
            listed = verdicts(output.text) if output.get("name") == "stdout" else None
            if listed:
                form = {"text/html": listed, "text/plain": output.text}
                cell.outputs[number] = v4.new_output("display_data", data=form)
            elif "Plotly.newPlot" in data.get("text/html", ""):
                data["text/html"] = bars(data["text/html"]) or data["text/html"]
    return notebook


def numbers(values) -> list:
    """An array as plotly writes it, in base64 or as a list."""
    if not isinstance(values, dict):
        return list(values)
    return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"]).tolist()


def bars(figure: str) -> str | None:
    """A plotly figure (HTML) of bars, grouped or with a slider that shows one group at a time, as
    data for atri.js.

    None for any other figure: it stays with plotly.
    """
    found = re.search(r"Plotly\.newPlot\(\s*\"[^\"]*\",\s*(?=\[)", figure)
    if not found:
        return None
    decoder = json.JSONDecoder()
    traces, end = decoder.raw_decode(figure, found.end())
    layout, _ = decoder.raw_decode(figure, figure.index("{", end))
    if any(trace.get("type") != "bar" or trace.get("orientation") == "h" for trace in traces):
        return None
    if any("x" not in trace or "color" not in trace.get("marker", {}) for trace in traces):
        return None
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
    if layout.get("sliders"):
        slider = layout["sliders"][0]
        labels = [step["label"] for step in slider["steps"]]
        if len(labels) != len(series):
            return None
        data["slider"] = {
            "label": slider["currentvalue"]["prefix"].strip(),
            "values": labels,
            "active": slider.get("active", 0),
        }
    described = re.search(r'aria-label="([^"]*)"', figure)
    inner = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    label = described[1] if described else "bar chart"
    name = f'role="group" aria-label="{label}"'
    return f'<div class="atri-bars" {name}><script type="application/json">{inner}</script></div>'
