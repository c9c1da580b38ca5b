"""The site: how it is built and, as an extension of Sphinx, what its pages hold."""

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
from cells import published
from chapters import BuildFailed, read
from page_size import with_small_pictures
from quoted import quoted
from sphinx_external_toc.parsing import parse_toc_yaml
from translations import stale

from atri_lib.storage import atomic_path

ROOT = pathlib.Path(__file__).resolve().parent.parent
# the script's shebang breaks when a folder moves
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
BUILT = ".built"  # in the site's folder, as long as it holds what `make book` has put there
# in a row of the status page: chapter, time of execution
SECONDS = r"notebooks/(\w+)` \| \d+ \| ([\d.]+)"
# What a page may fetch something by, and the kinds of links that fetch nothing.
LOADING = SoupStrainer("audio embed iframe img link object script source track video".split())
LINKED_ONLY = {"canonical", "search", "next", "prev", "index", "author", "license"}
# What a style sheet loads from another host.
ELSEWHERE = re.compile(r"(?:url\(|@import )['\"]?((?:https?:)?//[^)'\"]+)")


def executed() -> pathlib.Path:
    """Where the chapters are as they were executed for this site; as they were committed where none
    was.
    """
    return pathlib.Path(os.environ.get("ATRI_EXECUTED") or ROOT / "notebooks")


def load_toc(root: pathlib.Path) -> list[str]:
    """The pages of root/_toc.yml. Raises BuildFailed naming those that have no file."""
    found = list(parse_toc_yaml(root / "_toc.yml"))
    files = {page: [root / f"{page}.md", root / f"{page}.ipynb"] for page in found}
    missing = [page for page in found if not any(path.exists() for path in files[page])]
    if missing:
        raise BuildFailed(
            f"_toc.yml lists pages without a file: {', '.join(missing)}. "
            "Write them or take them out."
        )
    return found


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
    escaped = html.escape(" ".join(visible.split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#+!|~^$:%@-])", r"\\\1", escaped)


def build_site(root: pathlib.Path, executed: dict[str, pathlib.Path], target: pathlib.Path) -> None:
    """Have jupyter-book build executed chapters (by name); a site without warnings takes the place
    of `target`.
    """
    with atomic_path(target, folder=True) as partial:
        output = partial.parent
        for name, path in executed.items():
            shutil.copy(path, output / f"{name}.ipynb")
        command = [sys.executable, "-c", JUPYTER_BOOK, "build", root, "--path-output", output]
        env = os.environ | {
            "ATRI_EXECUTED": str(output),
            "ATRI_STUDIES": str(target.parent / "studies.md"),
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }
        log = target.parent / "sphinx.log"
        with log.open("w", encoding="utf-8") as stream:
            options = ["--all", "-n", "-W", "--keep-going"]
            run = subprocess.run([*command, *options], env=env, stdout=stream, stderr=stream)
        lines = log.read_text(errors="replace").replace(f"{root}/", "").splitlines()
        warnings = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
        if run.returncode or warnings:
            listed = "\n  ".join(warnings or lines[-25:])
            raise BuildFailed(
                "jupyter-book found something to mend (the whole log: _build/sphinx.log):\n"
                f"  {listed}"
            )
        site = output / "_build" / "html"
        shutil.copytree(target.parent / "scenes", site / "_static" / "search", dirs_exist_ok=True)
        problems = "\n  ".join(site_problems(site))
        if problems:
            raise BuildFailed(f"The pages do not hold together:\n  {problems}")
        (site / BUILT).touch()
        site.replace(partial)


def site_problems(site: pathlib.Path) -> Iterator[str]:
    """What pages and styles of a built site fetch from elsewhere, and local files that are not
    there.
    """
    for path in sorted(site.rglob("*.html")):
        if site / "_static" in path.parents:  # templates of the theme
            continue
        name = path.relative_to(site).as_posix()
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser", parse_only=LOADING)
        for element in soup.find_all(True):
            address = element.get("src") or element.get("href") or ""
            if LINKED_ONLY & set(element.get("rel") or []):
                continue
            parts = urlparse(address)
            if parts.netloc or parts.scheme not in ("", "data"):
                yield f"{name}: fetches {address} (the book must work from a file, offline)"
            elif not parts.scheme and not (path.parent / unquote(parts.path)).exists():
                yield f"{name}: fetches {address}, which is not there"
    for path in sorted(site.rglob("*.css")):
        for address in ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site).as_posix()}: fetches {address}"


def shown(app, docname: str, source: list[str]) -> None:
    """A page's source as it is shown: a chapter as it was executed, a page with its tables and the
    chapters' numbers filled in.
    """
    folder, _, name = docname.partition("/")
    if folder == "notebooks":
        chapter = published(read(executed() / f"{name}.ipynb"))
        source[0] = nbformat.writes(with_small_pictures(chapter))
        return
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
    source[0] = quoted(source[0], executed())


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
    return {"parallel_read_safe": True, "parallel_write_safe": True}
