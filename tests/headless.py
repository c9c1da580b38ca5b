"""Chromium for the tests of pages: a file's document as it is once its scripts have run."""

import pathlib
import subprocess

import pdf
import pytest
from bs4 import BeautifulSoup

FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --allow-file-access-from-files "
    "--window-size=900,1200 --dump-dom"
).split()
needs_browser = pytest.mark.skipif(
    not pdf.chromium(),
    reason="no Chromium (Debian: apt-get install chromium, or set ATRI_CHROMIUM): no page tried",
)


def loaded(file: pathlib.Path, fragment: str = "") -> BeautifulSoup:
    """The document of a local page after loading; the browser's profile is left beside it."""
    command = [
        pdf.chromium(),
        *FLAGS,
        f"--user-data-dir={file.parent / 'profile'}",
        file.as_uri() + fragment,
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return BeautifulSoup(run.stdout, "html.parser")


def scripted(folder: pathlib.Path, body: str, name: str = "page.html") -> BeautifulSoup:
    """What the book's own script makes of a page with this body."""
    static = (pathlib.Path(__file__).resolve().parents[1] / "book" / "_static").as_uri()
    head = f'<meta charset="utf-8"><script src="{static}/atri.js"></script>'
    for style in ("atri.css", "explore/explore.css"):
        head += f'<link rel="stylesheet" href="{static}/{style}">'
    file = folder / name
    text = f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    file.write_text(text, encoding="utf-8")
    return loaded(file)
