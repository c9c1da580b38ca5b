"""The page of the library: a section per module, its docstrings shown as the plain text that they
are.
"""

import itertools
import pathlib
import re

SHAPED = re.compile(
    r"\s|[-*] |\d+[.)] "
)  # how a line begins that belongs to a table, a formula or a list
SPECIAL = re.compile(
    r"`+([^`]*[^`\s][^`]*)`+|([\\*`|_:])"
)  # `code`, and what means something to docutils


def api_sections(root: pathlib.Path) -> str:
    """One section per module of the library, in Markdown, with an automodule directive for its
    documented members.
    """
    sections = {}
    for path in (root / "atri_lib").rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if path.stem != "__main__" and (
            path.stem != "__init__" or len(path.read_text(encoding="utf-8").split()) > 1
        ):
            sections[module] = (
                f"## `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```\n"
            )
    return "\n".join(sections[module] for module in sorted(sections))


def plain_docstrings(app, what, name, obj, options, lines: list[str]) -> None:
    """Plain text as reStructuredText: `code` and what is indented or a list become literal, the
    rest is escaped.
    """
    rst = []
    for kind, rows in itertools.groupby(
        lines, lambda row: bool(SHAPED.match(row)) if row.strip() else None
    ):
        if kind:
            rst += ["::", "", *(f"    {row}" for row in rows), ""]
        elif kind is not None:
            escape = SPECIAL.sub(
                lambda m: rf"\ ``{m[1].strip()}``\ " if m[1] else f"\\{m[2]}", " ".join(rows)
            )
            rst += [f"\\ {escape}", ""]
    lines[:] = rst
