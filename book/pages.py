"""The site: what its pages show, how the HTML is built, and what a finished site must hold."""

import html
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import unquote, urlparse

import chapters
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from sphinx_external_toc.parsing import parse_toc_yaml

from atri_lib.progress import progress
from atri_lib.storage import atomic_path

JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # the script's shebang breaks when a folder moves
BUILT = ".built"  # in the site's folder, as long as it holds what `make book` has put there
GLUED = "application/papermill.record/text/plain"
LINKED_ONLY = {"canonical", "search", "next", "prev", "index", "author", "license"}  # <link> kinds no browser fetches


class SiteFailed(Exception):
    """The site could not be built, or what was built is not whole."""


def load_toc(root: pathlib.Path) -> list[str]:
    """The pages of root/_toc.yml. Raises SiteFailed naming those that have no file."""
    found = list(parse_toc_yaml(root / "_toc.yml"))
    missing = [page for page in found if not any((root / f"{page}.{kind}").exists() for kind in ("md", "ipynb"))]
    if missing:
        raise SiteFailed(f"_toc.yml lists pages without a file: {', '.join(missing)}. Write them or take them out.")
    return found


def published_chapter(notebook: NotebookNode) -> NotebookNode:
    """An executed chapter as published: the cell that papermill injects parameters with is run but not shown.

    Interactive figures keep their HTML; their second form, for JupyterLab only, is dropped. Glued numpy numbers are
    written as plain ones, which {glue:text}`name:.1f` can format: `np.float64(60.0)` becomes `60.0`.
    """
    for cell in notebook.cells:
        for data in [output.get("data", {}) for output in cell.get("outputs", [])]:
            data.pop("application/vnd.plotly.v1+json", None)
            for kind in [kind for kind in data if kind.startswith(GLUED)]:
                data[kind] = re.sub(r"\Anp\.(?:float|int|uint|bool)\d*\((.*)\)\Z", r"\1", str(data[kind]))
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            cell.metadata["tags"] = [*tags, "remove-cell"]
    return notebook


def status_table(root: pathlib.Path, executed: pathlib.Path) -> str:
    """Executed chapters: code cells, seconds and time of execution, from papermill's record (committed: none)."""
    rows, total = ["| Chapter | Code cells | Seconds | Executed (UTC) |", "|---|---:|---:|---|"], 0.0
    for path in sorted(executed.glob("*.ipynb")):
        notebook = chapters.read(path)
        record = notebook.metadata.get("papermill", {})
        seconds, start = record.get("duration") or 0.0, record.get("start_time") or "as committed"
        count = sum(cell.cell_type == "code" for cell in notebook.cells)
        rows.append(f"| {{doc}}`/notebooks/{path.stem}` | {count} | {seconds:.1f} | {start[:16].replace('T', ' ')} |")
        total += seconds
    return "\n".join([*rows, f"| *all* | | {total:.1f} | |"])


def api_sections(root: pathlib.Path, executed: pathlib.Path) -> str:
    """One section per module of the library, in Markdown, with an automodule directive for its documented members."""
    sections = {}
    for path in (root / "atri_lib").rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if path.stem != "__main__" and (path.stem != "__init__" or len(path.read_text(encoding="utf-8").split()) > 1):
            directive = f".. automodule:: {module}\n   :members:\n"
            sections[module] = f"## `{module}`\n\n```{{eval-rst}}\n{directive}```\n"
    return "\n".join(sections[module] for module in sorted(sections))


def sounds_table(root: pathlib.Path, executed: pathlib.Path) -> str:
    """Every sound in the scenes: name, file or generator, licence. Nothing is fetched for it."""
    from atri_lib.data.recorded import INSTALLED
    from atri_lib.data.sounds import default_bank
    from atri_lib.storage import cache_dir

    if not INSTALLED.is_dir() and not (cache_dir("tuxpaint") / "stamps").is_dir():
        return "The recordings are not on the machine that this copy was built on: `make book` fetches and lists them."
    cells = [map(plain, (sound.names["eng"], sound.source, sound.licence)) for sound in default_bank().sounds]
    rows = sorted(f"| {' | '.join(row)} |" for row in cells)
    return "\n".join(["| Sound | Source | Licence |", "|---|---|---|", *rows])


def plain(text: str) -> str:
    """Text that shows as itself in a cell of a Markdown table, whatever it holds: markup, HTML, bars, line ends."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"([\\`*_{}\[\]()#+!|~^$:%@-])", r"\\\1", html.escape(" ".join(visible.split()), quote=False))


# What replaces the line `<!-- NAME -->` of a page, given the project's folder and the folder of executed chapters.
TABLES = {
    "status": status_table,
    "profile": lambda root, executed: os.environ.get("PROFILE") or "book",
    "api": api_sections,
    "sounds": sounds_table,
}


def build_site(root: pathlib.Path, executed: dict[str, pathlib.Path], target: pathlib.Path) -> None:
    """Build the site from executed chapters (by name) and put it, when it is whole, in place of `target`.

    Raises SiteFailed; the previous site is then left as it was.
    """
    with atomic_path(target, folder=True, replace=True) as partial:
        notebooks, site = partial.parent / "notebooks", partial.parent / "_build" / "html"
        notebooks.mkdir()
        for name, path in executed.items():
            shutil.copy(path, notebooks / f"{name}.ipynb")
        build_html(root, notebooks, partial.parent, target.parent / "sphinx.log")
        if problems := [*site_problems(site, load_toc(root))]:
            raise SiteFailed("The site is not whole:\n  " + "\n  ".join(problems))
        (site / BUILT).touch()
        site.replace(partial)


def build_html(root: pathlib.Path, executed: pathlib.Path, output: pathlib.Path, log: pathlib.Path) -> None:
    """Run jupyter-book, warnings as errors, over the chapters in `executed`. Raises SiteFailed with the warnings."""
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", root, "--path-output", output, "--all", "-W", "--keep-going"]
    env = os.environ | {"ATRI_EXECUTED": str(executed), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "160"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    lines = []
    with (
        subprocess.Popen([*command, "-n"], env=env, **pipes) as process,
        progress([], "site", total=2 * len(load_toc(root)), unit="page") as bar,
    ):
        for line in process.stdout:
            lines.append(line.rstrip().replace(f"{root}/", ""))
            bar.update(bool(re.search(r"(reading sources|writing output)\.\.\. ?\[", line)))
    log.write_text("\n".join(lines), encoding="utf-8")
    warnings = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
    if process.returncode or warnings:
        listed = "\n  ".join(warnings or lines[-25:])
        raise SiteFailed(f"jupyter-book found something to mend (the whole log: {log}):\n  {listed}")


def site_problems(site: pathlib.Path, toc: list[str]) -> Iterator[str]:
    """What is wrong with a built site: missing pages, things fetched from elsewhere, local files that are not there."""
    yield from (f"page {page} is missing" for page in toc if not (site / f"{page}.html").exists())
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        if name.startswith("_static/"):  # the theme's templates
            continue
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for element in soup.select("[src], link[href]"):
            address = urlparse(element.get("src") or element.get("href"))
            if LINKED_ONLY & set(element.get("rel") or []):
                continue
            if address.netloc or address.scheme not in ("", "data"):
                yield f"{name}: fetches {address.geturl()} (the book must work from a file, offline)"
            elif not address.scheme and address.path and not (path.parent / unquote(address.path)).exists():
                yield f"{name}: fetches {address.geturl()}, which is not there"
        if "Plotly.newPlot" in str(soup) and not soup.find("script", src=re.compile(r"plotly\.min\.js")):
            yield f"{name}: draws with plotly but does not load it"
        if soup.select(".system-message, .problematic"):
            yield f"{name}: shows a Sphinx error"
    for path in sorted(site.rglob("*.css")):
        for address in re.findall(r"url\(['\"]?(https?:[^)'\"]+)|@import ['\"](https?:[^'\"]+)", path.read_text()):
            yield f"{path.relative_to(site).as_posix()}: fetches {''.join(address)}"
