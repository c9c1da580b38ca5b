"""Which packages a file imports."""

import ast
import pathlib


def imported_packages(path: pathlib.Path) -> set[str]:
    """The first names of all modules that a file imports by their full names, wherever in it."""
    modules = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.append(node.module)
    return {module.split(".")[0] for module in modules}
