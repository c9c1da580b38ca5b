"""The page of the library: a section per module, its docstrings shown as the plain text that they
are.
"""

import itertools
import pathlib
import re

# How a line begins that belongs to a table, a formula or a list.
SHAPED = re.compile(r"\s|[-*] |\d+[.)] ")
# `code`, and what means something to docutils.
SPECIAL = re.compile(r"`+([^`]*[^`\s][^`]*)`+|([\\*`|_:])")


def api_sections(root: pathlib.Path) -> str:
    """One section per module of the library, in Markdown, with an automodule directive for its
    documented members.
    """
    sections = {}
    for path in (root / "atri_lib").rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if path.stem != "__main__" and path.stat().st_size > 1:  # packages may be empty
            directive = f".. automodule:: {module}\n   :members:"
            sections[module] = f"## `{module}`\n\n```{{eval-rst}}\n{directive}\n```\n"
    return "\n".join(sections[module] for module in sorted(sections))


def plain_docstrings(app, what, name, obj, options, lines: list[str]) -> None:
    """Plain text as reStructuredText: `code` and what is indented or a list become literal, the
    rest is escaped.
    """

    def escaped(match: re.Match) -> str:
        code, special = match.groups()
        return rf"\ ``{code.strip()}``\ " if code else f"\\{special}"

    rst = []
    kinds = itertools.groupby(lines, lambda row: bool(SHAPED.match(row)) if row.strip() else None)
    for is_shaped, rows in kinds:
        if is_shaped:
            rst += ["::", "", *(f"    {row}" for row in rows), ""]
        elif is_shaped is not None:
            rst += [rf"\ {SPECIAL.sub(escaped, ' '.join(rows))}", ""]
    lines[:] = rst
