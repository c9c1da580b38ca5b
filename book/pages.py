"""The site: how it is built, what a finished one holds, and, as an extension of Sphinx, what its
pages show.
"""

import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import unquote, urlparse

import nbformat
from api import api_sections, plain_docstrings
from bs4 import BeautifulSoup, SoupStrainer
from chapters import BuildFailed, read
from nbformat import NotebookNode
from quoted import GLUED, quoted
from sphinx_external_toc.parsing import parse_toc_yaml
from tqdm import tqdm
from translations import stale

from atri_lib.storage import atomic_path

ROOT = pathlib.Path(__file__).resolve().parent.parent
# the script's shebang breaks when a folder moves
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
BUILT = ".built"  # in the site's folder, as long as it holds what `make book` has put there
# in a row of the status page: chapter, time of execution
SECONDS = r"notebooks/(\w+)` \| \d+ \| ([\d.]+)"
LINKED_ONLY = {
    "canonical",
    "search",
    "next",
    "prev",
    "index",
    "author",
    "license",
}  # <link> kinds no browser fetches
FETCHING = ["audio", "embed", "iframe", "img", "input", "link", "script", "source", "track"]
FETCHING += ["video"]
LOADING = SoupStrainer(FETCHING)  # only what may fetch something: a page is read in half the time
FAULT = re.compile(r'class="[^"]*\b(system-message|problematic)\b')


def html_pages(site: pathlib.Path) -> Iterator[pathlib.Path]:
    """The pages of a site, without the theme's templates."""
    return (
        path
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.relative_to(site).parts
    )


def executed() -> pathlib.Path:
    """Where the chapters are as they were executed for this site; as they were committed where none
    was.
    """
    return pathlib.Path(os.environ.get("ATRI_EXECUTED") or ROOT / "notebooks")


def load_toc(root: pathlib.Path) -> list[str]:
    """The pages of root/_toc.yml. Raises BuildFailed naming those that have no file."""
    found = list(parse_toc_yaml(root / "_toc.yml"))
    missing = []
    for page in found:
        if not (root / f"{page}.md").exists() and not (root / f"{page}.ipynb").exists():
            missing.append(page)
    if missing:
        raise BuildFailed(
            f"_toc.yml lists pages without a file: {', '.join(missing)}. "
            "Write them or take them out."
        )
    return found


def published_chapter(notebook: NotebookNode) -> NotebookNode:
    """An executed chapter as published: the cell that papermill injects parameters with is run but
    not shown.

    Interactive figures keep their HTML; their second form, for JupyterLab only, is dropped. Glued
    numpy numbers are written as plain ones, which {glue:text}`name:.1f` can format:
    `np.float64(60.0)` becomes `60.0`.
    """
    for cell in notebook.cells:
        for data in [output.get("data", {}) for output in cell.get("outputs", [])]:
            data.pop("application/vnd.plotly.v1+json", None)
            for kind in [kind for kind in data if kind.startswith(GLUED)]:
                data[kind] = re.sub(
                    r"\Anp\.(?:float|int|uint|bool)\d*\((.*)\)\Z", r"\1", str(data[kind])
                )
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
    return notebook


def studies_table() -> str:
    """The studies with what is stored of each, as a table: as `make book` has written it, else made
    here.
    """
    if made := os.getenv("ATRI_STUDIES"):
        return pathlib.Path(made).read_text(encoding="utf-8")
    from studies.computing import report  # here: it loads torch

    return report()


def status_table(executed: pathlib.Path) -> str:
    """Executed chapters: code cells, seconds and time of execution, from papermill's record
    (committed: none).
    """
    rows = ["| Chapter | Code cells | Seconds | Executed (UTC) |", "|---|---:|---:|---|"]
    for path in sorted(executed.glob("*.ipynb")):
        notebook = read(path)
        record = notebook.metadata.get("papermill", {})
        count = sum(cell.cell_type == "code" for cell in notebook.cells)
        seconds = record.get("duration") or 0
        start = (record.get("start_time") or "as committed")[:16].replace("T", " ")
        rows.append(f"| {{doc}}`/notebooks/{path.stem}` | {count} | {seconds:.1f} | {start} |")
    return "\n".join(rows)


def sounds_table() -> str:
    """Every sound in the scenes: name, file or generator, licence. Nothing is fetched for it."""
    from atri_lib.data.banks import default_bank
    from atri_lib.data.tux_paint import INSTALLED
    from atri_lib.storage import cache_dir

    if not INSTALLED.is_dir() and not (cache_dir("tuxpaint") / "stamps").is_dir():
        return (
            "The recordings are not on the machine that this copy was built on: "
            "`make book` fetches and lists them."
        )
    cells = [
        map(plain, (sound.names["eng"], sound.source, sound.licence))
        for sound in default_bank().items
    ]
    rows = sorted(f"| {' | '.join(row)} |" for row in cells)
    return "\n".join(["| Sound | Source | Licence |", "|---|---|---|", *rows])


def plain(text: str) -> str:
    """Text that shows as itself in a cell of a Markdown table, whatever it holds: markup, HTML,
    bars, line ends.
    """
    visible = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(
        r"([\\`*_{}\[\]()#+!|~^$:%@-])",
        r"\\\1",
        html.escape(" ".join(visible.split()), quote=False),
    )


def build_site(root: pathlib.Path, executed: dict[str, pathlib.Path], target: pathlib.Path) -> None:
    """Have jupyter-book build executed chapters (by name); a site that is whole takes the place of
    `target`.
    """
    with atomic_path(target, folder=True) as partial:
        output, site, lines = partial.parent, partial.parent / "_build" / "html", []
        for name, path in executed.items():
            shutil.copy(path, output / f"{name}.ipynb")
        command = [
            sys.executable,
            "-c",
            JUPYTER_BOOK,
            "build",
            root,
            "--path-output",
            output,
            "--all",
            "-n",
            "-W",
        ]
        env = os.environ | {
            "ATRI_EXECUTED": str(output),
            "ATRI_STUDIES": str(target.parent / "studies.md"),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }
        pipes = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            "errors": "replace",
        }
        with subprocess.Popen([*command, "--keep-going"], env=env, **pipes) as process:
            for line in tqdm(process.stdout, "    site", unit=" lines", leave=False, disable=None):
                lines.append(line.rstrip().replace(f"{root}/", ""))
        (target.parent / "sphinx.log").write_text("\n".join(lines), encoding="utf-8")
        warnings = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
        if process.returncode or warnings:
            listed = "\n  ".join(warnings or lines[-25:])
            raise BuildFailed(
                "jupyter-book found something to mend (the whole log: _build/sphinx.log):\n"
                f"  {listed}"
            )
        shutil.copytree(target.parent / "scenes", site / "_static" / "search", dirs_exist_ok=True)
        problems = list(site_problems(site, load_toc(root)))
        if problems:
            raise BuildFailed("The site is not whole:\n  " + "\n  ".join(problems))
        (site / BUILT).touch()
        site.replace(partial)


def site_problems(site: pathlib.Path, toc: list[str]) -> Iterator[str]:
    """What is wrong with a built site: missing pages, things fetched from elsewhere, local files
    that are not there.
    """
    yield from (f"page {page} is missing" for page in toc if not (site / f"{page}.html").exists())
    for path in html_pages(site):
        name = path.relative_to(site).as_posix()
        text = path.read_text(encoding="utf-8")
        soup = BeautifulSoup(text, "html.parser", parse_only=LOADING)
        for element in soup.select("[src], link[href]"):
            address = urlparse(element.get("src") or element.get("href"))
            if LINKED_ONLY & set(element.get("rel") or []):
                continue
            if address.netloc or address.scheme not in ("", "data"):
                why = "the book must work from a file, offline"
                yield f"{name}: fetches {address.geturl()} ({why})"
            elif (
                not address.scheme
                and address.path
                and not (path.parent / unquote(address.path)).exists()
            ):
                yield f"{name}: fetches {address.geturl()}, which is not there"
        if "Plotly.newPlot" in text and not soup.find("script", src=re.compile(r"plotly\.min\.js")):
            yield f"{name}: draws with plotly but does not load it"
        if FAULT.search(text):
            yield f"{name}: shows a Sphinx error"
    for path in sorted(site.rglob("*.css")):
        for address in re.findall(
            r"url\(['\"]?(https?:[^)'\"]+)|@import ['\"](https?:[^'\"]+)", path.read_text()
        ):
            yield f"{path.relative_to(site).as_posix()}: fetches {''.join(address)}"


def shown(app, docname: str, source: list[str]) -> None:
    """A page's source as it is shown: a chapter as it was executed, a page with its tables filled
    in.
    """
    if docname.startswith("notebooks/"):
        name = docname.removeprefix("notebooks/")
        source[0] = nbformat.writes(published_chapter(read(executed() / f"{name}.ipynb")))
    tables = {
        "status": lambda: status_table(executed()),
        "studies": studies_table,
        "translations": lambda: ", ".join(stale(ROOT / "book" / "found.md")) or "none",
        "profile": lambda: os.getenv("PROFILE") or "book",
        "api": lambda: api_sections(ROOT),
        "sounds": sounds_table,
        "seconds": lambda: json.dumps(dict(re.findall(SECONDS, status_table(executed())))),
    }
    for name, table in tables.items():
        if f"<!-- {name} -->" in source[0]:
            source[0] = source[0].replace(f"<!-- {name} -->", table())
    if not docname.startswith("notebooks/"):
        source[0] = quoted(source[0], executed())


def scripts(app, pagename, templatename, context, doctree) -> None:
    """No live kernels (thebe), whose script comes from a network."""
    for kind in ("script_files", "css_files"):
        context[kind][:] = [
            file for file in context[kind] if "thebe" not in f"{file} {vars(file)}".lower()
        ]


def prepare_output(app) -> None:
    """The folder holds no longer what `make book` has put there. One line refuses what is no set of
    pages.
    """
    # Tabs, sounds and explorables have no form there.
    if app.builder.name in ("singlehtml", "latex"):
        raise SystemExit(
            f"This book is a set of pages, not {app.builder.name}. For one PDF of them: make pdf"
        )
    (pathlib.Path(app.outdir) / BUILT).unlink(missing_ok=True)


def setup(app) -> dict:
    app.connect("builder-inited", prepare_output)
    app.connect("source-read", shown)
    app.connect("autodoc-process-docstring", plain_docstrings)
    app.connect("html-page-context", scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
