"""The site: how it is built and, as an extension of Sphinx, what its pages hold."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import nbformat
from api import api_sections, plain_docstrings
from cells import published
from chapters import BuildFailed, read
from page_size import with_small_pictures
from quoted import quoted
from sphinx_external_toc.parsing import parse_toc_yaml
from translations import stale

from atri_lib.storage import atomic_path

ROOT = pathlib.Path(__file__).resolve().parent.parent
STUDIES = ROOT / "_build" / "studies.md"  # the status page's table: half a minute of reading data
# the script's shebang breaks when a folder moves
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
BUILT = ".built"  # in the site's folder, as long as it holds what `make book` has put there


def executed() -> pathlib.Path:
    """Where the chapters are as they were executed for this site; as they were committed where none
    was.
    """
    return pathlib.Path(os.environ.get("ATRI_EXECUTED") or ROOT / "notebooks")


def load_toc(root: pathlib.Path) -> list[str]:
    """The pages of root/_toc.yml, in their order."""
    return list(parse_toc_yaml(root / "_toc.yml"))


def studies_table() -> str:
    """The studies with what is stored of each, as a table, where `make book` has written it."""
    return STUDIES.read_text(encoding="utf-8") if STUDIES.exists() else "`make book` lists them."


def records() -> dict[str, dict]:
    """Papermill's record of each executed chapter, by name; empty for one as it was committed."""
    found = {}
    for path in sorted(executed().glob("*.ipynb")):
        found[path.stem] = read(path).metadata.get("papermill", {})
    return found


def status_table() -> str:
    """Executed chapters with seconds and time of execution."""
    rows = ["| Chapter | Seconds | Executed (UTC) |", "|---|---:|---|"]
    for name, record in records().items():
        start = record.get("start_time", "as committed")[:16].replace("T", " ")
        rows.append(f"| {{doc}}`/notebooks/{name}` | {record.get('duration', 0):.1f} | {start} |")
    return "\n".join(rows)


def seconds() -> str:
    """Seconds of each executed chapter, for the front page's script."""
    return json.dumps({name: one.get("duration", 0) for name, one in records().items()})


def behind() -> str:
    """The languages whose translation of a page is older than the English text."""
    return ", ".join(stale(ROOT / "book" / "found.md")) or "none"


TABLES = {  # what stands on pages for `<!-- NAME -->`
    "status": status_table,
    "studies": studies_table,
    "translations": behind,
    "profile": lambda: os.getenv("PROFILE") or "book",
    "api": lambda: api_sections(ROOT),
    "seconds": seconds,
}


def build_site(root: pathlib.Path, executed: dict[str, pathlib.Path], target: pathlib.Path) -> None:
    """Have jupyter-book build executed chapters (by name); a site without warnings takes the place
    of `target`.
    """
    with atomic_path(target, folder=True) as partial:
        output = partial.parent
        for name, path in executed.items():
            nbformat.write(with_small_pictures(read(path)), output / f"{name}.ipynb")
        command = [sys.executable, "-c", JUPYTER_BOOK, "build", root, "--path-output", output]
        options = ["--all", "-n", "-W", "--keep-going"]
        env = os.environ | {"ATRI_EXECUTED": str(output), "NO_COLOR": "1", "COLUMNS": "160"}
        log = target.parent / "sphinx.log"
        with log.open("w", encoding="utf-8") as stream:
            run = subprocess.run([*command, *options], env=env, stdout=stream, stderr=stream)
        if run.returncode:
            lines = log.read_text(errors="replace").replace(f"{root}/", "").splitlines()
            warnings = [line for line in lines if re.search(r"\b(WARNING|ERROR|\w+Error:)", line)]
            listed = "\n  ".join(warnings or lines[-25:])
            raise BuildFailed(f"jupyter-book found something to mend ({log}):\n  {listed}")
        site = output / "_build" / "html"
        shutil.copytree(target.parent / "scenes", site / "_static" / "search", dirs_exist_ok=True)
        (site / BUILT).touch()
        site.replace(partial)


def shown(app, docname: str, source: list[str]) -> None:
    """A page's source as it is shown: a chapter as it was executed, a page with its tables and the
    chapters' numbers filled in.
    """
    folder, _, name = docname.partition("/")
    if folder == "notebooks":
        source[0] = nbformat.writes(published(read(executed() / f"{name}.ipynb")))
        return
    for name, table in TABLES.items():
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
