"""What a chapter's outputs hold for its page. Which cells are folded is said by their tags."""

import html
import json
import re

from nbformat import NotebookNode

PLOTLY = "application/vnd.plotly.v1+json"
GLUED = "application/papermill.record/text/plain"


def published(notebook: NotebookNode) -> NotebookNode:
    """An executed chapter as its page has it: bar charts are data for atri.js, and glued numpy
    numbers plain ones, which {glue:text}`name:.1f` can format.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY in data:
                label = data["text/plain"].removeprefix("[interactive figure] ")
                data["text/html"] = bars(data.pop(PLOTLY), label)
            if GLUED in data:
                data[GLUED] = plain_number(data[GLUED])
    return notebook


def plain_number(text: str) -> str:
    """`np.float64(60.0)` as `60.0`, any other text as it is."""
    return re.sub(r"\Anp\.\w+\((.*)\)\Z", r"\1", text)


def bars(figure: dict, label: str) -> str:
    """A plotly figure (JSON) of bars, grouped or with a slider that shows one group at a time, for
    atri.js: pages do without plotly's 4.8 MB. label: what it shows.
    """
    figure["layout"].pop("template", None)
    inner = json.dumps(figure, ensure_ascii=False).replace("</", "<\\/")
    script = f'<script type="application/json">{inner}</script>'
    return f'<div class="atri-bars" role="group" aria-label="{html.escape(label)}">{script}</div>'
