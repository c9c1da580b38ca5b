"""The whole book as one PDF: `pdf.py [SITE]`. The pages of a built site, one after the other,
printed by Chromium.

`pdf.py --can` only says, by its exit code, whether Chromium and playwright are here.
"""

import importlib.util
import os
import pathlib
import shutil
import sys
from urllib.parse import urlparse

from bs4 import BeautifulSoup
from chapters import BuildFailed
from pages import ROOT, load_toc

from atri_lib.storage import atomic_path

PRINTED = """
@page { size: A4; margin: 18mm 16mm; }
body { max-width: none; } article { break-before: page; }
.headerlink, .copybtn, .atri-player audio, .atri-slider, summary { display: none !important; }
.atri-scroll, .cell_output .text_html, div.math, pre {
  overflow: visible !important; box-shadow: none !important;
}
pre { white-space: pre-wrap !important; } table { font-size: 80%; }
h1, h2, h3, figcaption { break-after: avoid; }
figure, table.dataframe, .atri-bars { break-inside: avoid; }
"""


def chromium() -> str | None:
    """The browser: what ATRI_CHROMIUM names, else the first of its usual names on this machine."""
    given = os.environ.get("ATRI_CHROMIUM")
    names = (
        [given]
        if given
        else ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]
    )
    return next((found for name in names if (found := shutil.which(name))), None)


def key(page: str) -> str:
    """What ids of a page begin with in the whole book."""
    return pathlib.PurePosixPath(page).name.replace(".", "-")


def assembled(site: pathlib.Path, toc: list[str], folder: str) -> str:
    """One HTML of all pages in their order; links between them stay inside. folder: the way from it
    to the site.
    """
    texts = {page: (site / f"{page}.html").read_text(encoding="utf-8") for page in toc}
    typeset = next(
        (page for page, text in texts.items() if "tex-chtml" in text), toc[0]
    )  # with MathJax in its head
    first = BeautifulSoup(texts[typeset], "html.parser")
    frame = (
        "<!DOCTYPE html><html lang='en' data-theme='light' data-mode='light'><body></body></html>"
    )
    whole = BeautifulSoup(frame, "html.parser")
    whole.html.insert(0, first.head)
    whole.head.append(whole.new_tag("style", string=PRINTED))
    for page, text in texts.items():
        soup = BeautifulSoup(text, "html.parser")
        for own in soup.head.select(
            "[src*='explore/'], [href*='explore/']"
        ):  # by what the page lets one try
            if str(own) not in str(whole.head):
                whole.head.append(own)
        article = soup.select_one("article")
        here = pathlib.PurePosixPath(page).parent
        for element in article.select("[id]:not([id^=atri-])"):  # those are looked for by scripts
            element["id"] = f"{key(page)}--{element['id']}"
        for link in article.select("a[href]"):
            link["href"] = moved(link["href"], page, here, toc, folder)
        for details in article.select(
            "details"
        ):  # figures and solutions are printed, folded code is not
            if "above-input" not in details.get("class", []):
                details["open"] = ""
        article["id"] = key(page)
        whole.body.append(article)
    for element in whole.select("[src], link[href]"):
        name = "src" if element.has_attr("src") else "href"
        if not urlparse(element[name]).scheme:
            element[name] = f"{folder}/{element[name].removeprefix('../')}"
    for script in whole.head.select("script[src]"):
        if not any(name in script["src"] for name in ("mathjax", "atri.js", "explore/")):
            script.decompose()
    return str(whole)


def moved(address: str, page: str, here: pathlib.PurePosixPath, toc: list[str], folder: str) -> str:
    """Where a link of a page leads in the whole book: a page's part, a file of the site, or
    elsewhere as before.
    """
    parts = urlparse(address)
    if parts.scheme or parts.netloc:
        return address
    target = os.path.normpath(here / parts.path).removesuffix(".html") if parts.path else page
    if target not in toc:
        return f"{folder}/{os.path.normpath(here / parts.path)}"
    return f"#{key(target)}--{parts.fragment}" if parts.fragment else f"#{key(target)}"


def needed() -> str:
    """The browser. Raises BuildFailed where there is no Chromium or no playwright."""
    browser = chromium()
    if not browser:
        raise BuildFailed(
            "No Chromium here. Debian, Ubuntu: apt-get install chromium; "
            "or say where: ATRI_CHROMIUM."
        )
    if importlib.util.find_spec("playwright") is None:
        raise BuildFailed("playwright is missing: make env")
    return browser


def print_book(site: pathlib.Path, target: pathlib.Path) -> None:
    """Write the PDF of a built site. Raises BuildFailed where there is no site, no Chromium or no
    playwright.
    """
    browser = needed()
    toc = load_toc(ROOT)
    if missing := [page for page in toc if not (site / f"{page}.html").exists()]:
        raise BuildFailed(f"{site} holds no book ({missing[0]} is missing): make book")
    from playwright.sync_api import sync_playwright

    source = site.parent / "print.html"
    source.write_text(assembled(site, toc, site.name), encoding="utf-8")
    with atomic_path(target, replace=True) as partial, sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chrome.new_page()
        page.goto(source.resolve().as_uri(), wait_until="load", timeout=600_000)
        page.set_default_timeout(600_000)
        page.evaluate("() => window.MathJax?.startup?.promise")
        page.pdf(
            path=partial,
            tagged=True,
            outline=True,
            prefer_css_page_size=True,
            print_background=True,
        )
        chrome.close()


def main(arguments: list[str]) -> None:
    """Print the book, or only see whether it could be."""
    if arguments == ["--can"]:
        needed()
        return
    site = pathlib.Path(*arguments) if arguments else ROOT / "_build" / "html"
    book = ROOT / "_build" / "one_sound_eight_languages.pdf"
    print_book(site, book)
    print(f"{book.relative_to(ROOT)}: {book.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BuildFailed as error:
        sys.exit(str(error))
