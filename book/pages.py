"""The site: what is staged, how the HTML is built, and what a finished site must hold."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlparse

import nbformat
import yaml
from bs4 import BeautifulSoup
from nbformat import NotebookNode

PAGES = ("*.md", "*.bib", "*.py")
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # the script's shebang breaks when a folder moves
GLUED = "application/papermill.record/text/plain"
PROGRESS = re.compile(r"(reading sources|writing output)\.\.\. ?\[\s*(\d+)%\] ?(\S*)")
FETCHED = {
    "script": "src",
    "img": "src",
    "audio": "src",
    "source": "src",
    "video": "src",
    "iframe": "src",
    "link": "href",
}
LINKED_ONLY = {"canonical", "search", "next", "prev", "index", "author", "license"}  # <link> kinds no browser fetches


class SiteFailed(Exception):
    """The site could not be built, or what was built is not whole."""


def toc_pages(toc: dict) -> list[str]:
    """Every page of a _toc.yml in order, as given there: root first, then all chapters and sections of all parts."""

    def walk(entry: dict) -> Iterator[str]:
        if "file" in entry:
            yield entry["file"]
        for key in ("parts", "chapters", "sections", "entries", "subtrees"):
            for child in entry.get(key) or []:
                yield from walk(child)

    return [toc["root"], *walk(toc)]


def load_toc(root: pathlib.Path) -> list[str]:
    """The pages of root/_toc.yml. Raises SiteFailed naming those that have no file."""
    pages = toc_pages(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))
    missing = [page for page in pages if not any((root / f"{page}.{kind}").exists() for kind in ("md", "ipynb"))]
    if missing:
        raise SiteFailed(f"_toc.yml lists pages without a file: {', '.join(missing)}. Write them or take them out.")
    return pages


def staged_chapter(notebook: NotebookNode) -> NotebookNode:
    """An executed chapter as published: the cell that papermill injects parameters with is run but not shown.

    Interactive figures keep their HTML; their second form, for JupyterLab only, is dropped. Glued numpy numbers are
    written as plain ones, which {glue:text}`name:.1f` can format: `np.float64(60.0)` becomes `60.0`.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop("application/vnd.plotly.v1+json", None)
            for kind in [kind for kind in data if kind.startswith(GLUED)]:
                data[kind] = re.sub(r"\Anp\.(?:float|int|uint|bool)\d*\((.*)\)\Z", r"\1", str(data[kind]))
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags and "remove-cell" not in tags:
            cell.metadata["tags"] = [*tags, "remove-cell"]
    notebook.metadata.pop("widgets", None)
    return notebook


def status_table(chapters: dict[str, NotebookNode]) -> str:
    """A Markdown table of executed chapters: code cells, seconds and time of execution, from papermill's record."""
    rows = ["| Chapter | Code cells | Seconds | Executed (UTC) |", "|---|---:|---:|---|"]
    total = 0.0
    for name, notebook in chapters.items():
        record = notebook.metadata.get("papermill", {})
        seconds, total = record.get("duration") or 0.0, total + (record.get("duration") or 0.0)
        count = sum(cell.cell_type == "code" for cell in notebook.cells)
        start = (record.get("start_time") or "")[:16].replace("T", " ")
        rows.append(f"| {{doc}}`/notebooks/{name}` | {count} | {seconds:.1f} | {start} |")
    return "\n".join([*rows, f"| *all* | | {total:.1f} | |"])


def api_sections(root: pathlib.Path) -> str:
    """One section per module of the library, in Markdown, with an automodule directive for its documented members."""
    sections = []
    for path in sorted((root / "atri_lib").rglob("*.py"), key=lambda path: (len(path.parts), path)):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if path.stem == "__main__" or (path.stem == "__init__" and len(path.read_text(encoding="utf-8").split()) < 2):
            continue
        directive = f".. automodule:: {module}\n   :members:\n"
        sections.append((module, f"## `{module}`\n\n```{{eval-rst}}\n{directive}```\n"))
    return "\n".join(text for _, text in sorted(sections))


def stage(
    root: pathlib.Path, target: pathlib.Path, chapters: dict[str, NotebookNode], tables: dict[str, Callable[[], str]]
) -> None:
    """Fill `target` with all that the site is built from.

    chapters: executed notebooks by name. tables: what replaces the line `<!-- NAME -->` in the pages, by name.
    """
    shutil.rmtree(target, ignore_errors=True)
    (target / "book").mkdir(parents=True)
    (target / "notebooks").mkdir()
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, target / name)
    shutil.copytree(root / "book" / "_static", target / "_static")
    for pattern in PAGES:
        for path in (root / "book").glob(pattern):
            shutil.copy(path, target / "book" / path.name)
    for path in (target / "book").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for name, table in tables.items():
            if f"<!-- {name} -->" in text:
                text = text.replace(f"<!-- {name} -->", table())
        path.write_text(text, encoding="utf-8")
    for name, notebook in chapters.items():
        nbformat.write(staged_chapter(notebook), target / "notebooks" / f"{name}.ipynb")


def build_html(
    stage_folder: pathlib.Path, output: pathlib.Path, log: pathlib.Path, show: Callable[[str], None]
) -> None:
    """Run jupyter-book with warnings as errors into `output`. Raises SiteFailed with the warnings."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", stage_folder, "--path-output", output]
    command += ["--all", "-W", "-n", "--keep-going"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "160"}
    warnings = []
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            command, env=env, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            for line in process.stdout:
                line = re.sub(r"\x1b\[[\d;]*m", "", line)
                stream.write(line)
                if match := PROGRESS.search(line):
                    show(f"{match[1]} {match[2]:>3} %  {match[3]}")
                elif re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line) or (
                    warnings and warnings[-1].endswith("raised:")
                ):
                    warnings.append(line.strip().replace(f"{stage_folder}/", ""))
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.wait() or warnings:
        listed = "\n".join(f"  {line}" for line in warnings) or "  " + "\n  ".join(tail(log, 25))
        raise SiteFailed(f"jupyter-book found something to mend (the whole log: {log}):\n{listed}")


def tail(path: pathlib.Path, count: int) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[-count:]


def site_problems(html: pathlib.Path, pages: list[str]) -> list[str]:
    """What is wrong with a built site: missing pages, things fetched from elsewhere, local files that are not there."""
    found = [f"page {page} is missing" for page in pages if not (html / f"{page}.html").exists()]
    for path in sorted(html.rglob("*.html")):
        name = path.relative_to(html).as_posix()
        if name.startswith("_static/"):  # the theme's templates
            continue
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for tag, attribute in FETCHED.items():
            for element in soup.find_all(tag):
                address = element.get(attribute) or ""
                if tag == "link" and LINKED_ONLY & set(element.get("rel") or []):
                    continue
                found += [f"{name}: {problem}" for problem in address_problems(address, path)]
        if "Plotly.newPlot" in str(soup) and not soup.find("script", src=re.compile(r"plotly\.min\.js")):
            found.append(f"{name}: draws with plotly but does not load it")
        found += [f"{name}: shows a Sphinx error" for _ in soup.select(".system-message, .problematic")[:1]]
    for path in sorted(html.rglob("*.css")):
        for address in re.findall(r"url\(['\"]?(https?:[^)'\"]+)|@import ['\"](https?:[^'\"]+)", path.read_text()):
            found.append(f"{path.relative_to(html).as_posix()}: fetches {''.join(address)}")
    return found


def address_problems(address: str, page: pathlib.Path) -> list[str]:
    """Whether something a page fetches lies elsewhere, or is a local file that does not exist."""
    parts = urlparse(address)
    if parts.scheme == "data" or not address:
        return []
    if parts.scheme or parts.netloc:
        return [f"fetches {address} (the book must work from a file, offline)"]
    if parts.path and not (page.parent / unquote(parts.path)).exists():
        return [f"fetches {address}, which is not there"]
    return []


def publish(output: pathlib.Path, html: pathlib.Path, record: dict) -> None:
    """Put a finished site in place of the previous one; a kill between the two renames is mended by `recover`."""
    built = output / "_build" / "html"
    (built / ".built.json").write_text(json.dumps(record))
    previous = html.with_name("html.previous")
    shutil.rmtree(previous, ignore_errors=True)
    if html.exists():
        html.rename(previous)
    built.rename(html)
    shutil.rmtree(previous, ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)


def recover(html: pathlib.Path) -> None:
    """Put the previous site back when a kill left none."""
    previous = html.with_name("html.previous")
    if previous.exists() and not html.exists():
        previous.rename(html)


def published_key(html: pathlib.Path) -> str | None:
    """The key that the site in place was built from, None when there is none."""
    try:
        return json.loads((html / ".built.json").read_text())["key"]
    except (OSError, ValueError, KeyError):
        return None
