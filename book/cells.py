"""What a chapter's outputs hold for its page. Which cells are folded is said by their tags."""

import html
import json
import re

from chapters import BuildFailed
from nbformat import NotebookNode

PLOTLY = "application/vnd.plotly.v1+json"
GLUED = "application/papermill.record/text/plain"


def published(notebook: NotebookNode) -> NotebookNode:
    """An executed chapter as its page has it: bar charts are data for atri.js, and glued numpy
    numbers plain ones, which {glue:text}`name:.1f` can format. The cell that papermill adds is not
    shown.
    """
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY in data:
                label = data.get("text/plain", "").removeprefix("[interactive figure] ")
                data["text/html"] = bars(data.pop(PLOTLY), label)
            if GLUED in data:
                data[GLUED] = plain_number(data[GLUED])
    return notebook


def plain_number(text: str) -> str:
    """`np.float64(60.0)` as `60.0`, any other text as it is."""
    return re.sub(r"\Anp\.\w+\((.*)\)\Z", r"\1", text)


def bars(figure: dict, label: str) -> str:
    """A plotly figure (JSON) of bars, grouped or with a slider that shows one group at a time, for
    atri.js. label: what it shows.

    Raises BuildFailed for any other figure: pages do without plotly's 4.8 MB.
    """
    for trace in figure["data"]:
        is_upright = trace.get("type") == "bar" and trace.get("orientation") != "h"
        if not is_upright or "x" not in trace or "color" not in trace.get("marker", {}):
            raise BuildFailed(f"only upright bars with colours have a form on pages: {label}")
    figure["layout"].pop("template", None)
    inner = json.dumps(figure, ensure_ascii=False).replace("</", "<\\/")
    script = f'<script type="application/json">{inner}</script>'
    return f'<div class="atri-bars" role="group" aria-label="{html.escape(label)}">{script}</div>'
