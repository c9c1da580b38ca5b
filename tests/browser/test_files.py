"""The files of the built site hold together: `make browser-test`, and `make publish` before it
pushes.

No browser is needed. Skipped where there is no site.
"""

import os
import pathlib
import re
from urllib.parse import unquote, urlparse

import pytest
from bs4 import BeautifulSoup

ROOT = pathlib.Path(__file__).resolve().parents[2]
SITE = pathlib.Path(os.environ.get("ATRI_SITE") or ROOT / "_build" / "html")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason=f"no site in {SITE}: make book"),
]

ELSEWHERE = re.compile(r"(?:url\(|@import )['\"]?((?:https?:)?//[^'\")]*)")  # in a style sheet


def html_pages():
    """The pages of the site, without the theme's templates."""
    return [path for path in sorted(SITE.rglob("*.html")) if SITE / "_static" not in path.parents]


def test_internal_links_and_anchors_resolve():
    soups = {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in html_pages()
    }
    ids = {path: [one["id"] for one in soup.select("[id]")] for path, soup in soups.items()}
    broken = [
        f"{path.name}: id {one} twice"
        for path, found in ids.items()
        for one in {*found}
        if found.count(one) > 1
    ]
    for path, soup in soups.items():
        for link in soup.select("a[href]"):
            parts = urlparse(link["href"])
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            known = next((names for other, names in ids.items() if other.resolve() == target), None)
            if not target.exists() or (
                parts.fragment and known is not None and unquote(parts.fragment) not in known
            ):
                broken.append(f"{path.relative_to(SITE)}: {link['href']}")
    assert not broken, "\n".join(sorted({*broken}))


def test_every_page_and_style_holds_together_without_a_network():
    """What a browser fetches only later on, as pictures further down, is among it."""
    kinds = ("stylesheet", "icon", "preload", "preconnect")
    fetched = ", ".join(["[src]", *(f"link[rel~={kind}]" for kind in kinds)])
    problems = []
    for path in html_pages():
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for element in soup.select(fetched):
            parts = urlparse(element.get("src") or element["href"])
            if parts.scheme == "data":  # a player's sound, too long for the name of a file
                continue
            if parts.netloc or not (path.parent / unquote(parts.path)).exists():
                problems.append(f"{path.relative_to(SITE)}: {element}")
    for path in SITE.rglob("*.css"):
        for address in ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            problems.append(f"{path.relative_to(SITE)}: fetches {address}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("rule", ["url('https://fonts.example/x')", "@import 'https://f.example';"])
def test_a_style_that_fetches_from_elsewhere_is_found_out(rule):
    assert ELSEWHERE.findall(rule)


@pytest.mark.parametrize(
    "part, check",
    [
        ("<img src='none.png'>", test_every_page_and_style_holds_together_without_a_network),
        ("<img src='https://a/b.png'>", test_every_page_and_style_holds_together_without_a_network),
        ("<a href='none.html'>x</a>", test_internal_links_and_anchors_resolve),
        ("<a href='#none'>x</a>", test_internal_links_and_anchors_resolve),
    ],
)
def test_what_is_not_there_or_elsewhere_is_found_out(tmp_path, monkeypatch, part, check):
    monkeypatch.setitem(globals(), "SITE", tmp_path)
    (tmp_path / "page.html").write_text("<p>whole</p>")
    check()
    (tmp_path / "page.html").write_text(part)
    with pytest.raises(AssertionError, match="page.html"):
        check()
