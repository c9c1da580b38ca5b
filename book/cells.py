"""How a chapter's cells look on its page: verdicts as lists, bar charts as data for the page's own
script, panels that scroll. Which cells are folded is said by their tags.
"""

import base64
import html
import io
import json
import re

from chapters import BuildFailed
from nbformat import NotebookNode, v4
from PIL import Image

PLOTLY = "application/vnd.plotly.v1+json"
GLUED = "application/papermill.record/text/plain"
WIDE = 1.4  # from this width to height on, a figure keeps its size on a phone and scrolls
VERDICT = re.compile(r"(?m)^(.*\S): (True|False)$")
VERDICTS = {"True": ("yes", "✓", "holds"), "False": ("no", "✗", "does not hold")}


def published(notebook: NotebookNode) -> NotebookNode:
    """An executed chapter as its page has it: the cell that papermill injects parameters with is
    run but not shown, verdicts are lists, bar charts have the book's own form.
    """
    for cell in notebook.cells:
        tags = cell.metadata.setdefault("tags", [])
        if "injected-parameters" in tags:
            tags.append("remove-cell")
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
    if "image/png" in data:
        picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
        if picture.width > WIDE * picture.height:
            shown = cell.metadata.setdefault("mystnb", {})
            shown.setdefault("image", {})["classes"] = "atri-panels"
    if PLOTLY in data:
        label = data.get("text/plain", "").removeprefix("[interactive figure] ")
        data["text/html"] = bars(data.pop(PLOTLY), label)
    if GLUED in data:
        data[GLUED] = plain_number(data[GLUED])


def verdicts(text: str) -> str | None:
    """Lines `sentence: True` as a list with ticks and crosses; None for any other text."""

    def item(match: re.Match) -> str:
        sentence, value = match.groups()
        kind, mark, said = VERDICTS[value]
        seen = f'<span class="atri-mark" aria-hidden="true">{mark}</span>'
        return f'<li class="{kind}">{seen}<span class="atri-spoken">{said}: </span>{sentence}</li>'

    items = VERDICT.sub(item, html.escape(text.strip(), quote=False))
    is_list = all(line.startswith("<li") for line in items.split("\n"))
    return f'<ul class="atri-verdicts">{items}</ul>' if is_list else None


def plain_number(text: str) -> str:
    """`np.float64(60.0)` as `60.0`, any other text as it is."""
    return re.sub(r"\Anp\.\w+\((.*)\)\Z", r"\1", text)


def bars(figure: dict, label: str) -> str:
    """A plotly figure (JSON) of bars, grouped or with a slider that shows one group at a time, for
    atri.js. label: what it shows.

    Raises BuildFailed for any other figure: pages do without plotly's 4.8 MB.
    """
    for trace in figure["data"]:
        is_upright = trace["type"] == "bar" and trace.get("orientation") != "h"
        if not is_upright or "x" not in trace or "color" not in trace.get("marker", {}):
            raise BuildFailed(f"only upright bars with colours have a form on pages: {label}")
    figure["layout"].pop("template", None)
    inner = json.dumps(figure, ensure_ascii=False).replace("</", "<\\/")
    script = f'<script type="application/json">{inner}</script>'
    return f'<div class="atri-bars" role="group" aria-label="{html.escape(label)}">{script}</div>'
