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
