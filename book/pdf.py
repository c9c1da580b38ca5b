"""The whole book as one PDF. The pages of a built site, one after the other,
printed by Chromium, without the API reference, the translations and what is folded.

`pdf.py --can` only says, by its exit code, whether Chromium and playwright are here.
"""

import importlib.util
import os
import pathlib
import shutil
import sys
from urllib.parse import urljoin, urlparse

from bs4 import BeautifulSoup, Tag
from chapters import BuildFailed
from pages import ROOT, load_toc

from atri_lib.languages import LANGUAGES
from atri_lib.storage import atomic_path

LEFT_OUT = {"book/api", *(f"book/found_{language.code}" for language in LANGUAGES)}
POINTER = "API reference and translations: in the online book."
FRAME = """<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light">
<head><meta charset="utf-8"></head><body></body></html>"""
# What a page loads that is printed, by a part of its element: styles and what draws.
LOADED = ("stylesheet", "MathJax", "mathjax/", "atri.js", "explore/")
PIXELS = 658  # of 1/96 inch, the width of the text on the page: figures are drawn for it

PRINTED = """
@page {
  size: A4; margin: 16mm 18mm;
  @bottom-center { content: counter(page); font: 8pt "Liberation Sans", Arial, sans-serif; }
}
html {
  font-size: 10pt;
  --pst-font-size-base: 10pt;
  --pst-font-family-base: "Liberation Sans", Arial, Helvetica, sans-serif;
  --pst-font-family-heading: var(--pst-font-family-base);
  --pst-font-family-monospace: "Liberation Mono", Menlo, Consolas, "Noto Sans Mono", monospace;
}
body { max-width: none; line-height: 1.4; font-family: var(--pst-font-family-base); }
article.chapter { break-before: page; }
h1 { font-size: 20pt; margin: 0 0 5mm; } article:not(.chapter) h1 { margin-top: 12mm; }
h2 { font-size: 14pt; margin: 6mm 0 2.5mm; }
h3 { font-size: 11.5pt; margin: 5mm 0 2mm; }
p { margin-bottom: 2mm; } p, li, dd { orphans: 3; widows: 3; }
td p, th p { margin: 0; } .citation { font-size: 9pt; }
code, table { font-size: 8pt !important; }
.cell_output table.dataframe :is(td, th) { white-space: normal; padding: .3mm 1.2mm; }
pre {
  font-size: 8pt !important; line-height: 1.25; margin: 0; padding: 1.5mm 2mm;
  white-space: pre-wrap !important; overflow-wrap: anywhere; orphans: 5; widows: 5;
}
div.cell, .cell_input, .cell_output { margin: 1.5mm 0 !important; }
.cell_output pre { padding: .5mm 2mm; }
div.math, mjx-container[display="true"] { margin: 1.5mm 0 !important; }
article img { max-width: 100% !important; max-height: 80mm; width: auto; height: auto; }
figure { margin: 3mm auto; }
figcaption, figcaption * {
  font-size: 9pt !important; font-weight: 400 !important; color: #222 !important;
}
#atri-promise, #atri-result, .atri-map { margin-bottom: 3mm; }
.explore-controls { display: flex; flex-wrap: wrap; gap: 0 2mm; }
.explore-controls output { margin-right: 5mm; font-weight: 600; }

/* What a screen is needed for, and what is folded there. */
.headerlink, .copybtn, .atri-player audio, .atri-slider input, .explorable :is(input, button),
.explore-choice, .cell > details.above-input, .atri-bars details, summary,
#atri-live, .atri-controls, .atri-field, .atri-more {
  display: none !important;
}

/* Of translations only the English, which has no part in another language. */
.atri-languages, .atri-tongues > *, p:has(+ .atri-tongues) { display: none !important; }
.atri-tongues > .sd-tab-content:not(:has([lang])) { display: block !important; }

/* Where a page may end: Chromium never divides what has a scroll bar or is a flexible box. */
h1, h2, h3, h4, .caption, .admonition-title, dt { break-after: avoid; }
pre, .highlight, [class*="highlight-"], .admonition, .atri-scroll, .cell_output .text_html {
  break-inside: auto !important; overflow: visible !important; box-shadow: none !important;
}
.highlight, [class*="highlight-"] { display: block !important; }
tr, figure, table.dataframe, .atri-bars, .explorable, div.math, .cell_output img,
ul.atri-verdicts, .sd-container-fluid, .exercise, .theorem, .definition {
  break-inside: avoid !important;
}
div.math { overflow: visible !important; }
.left-out { margin-top: 12mm; }
"""

# Short cells stay on one line. What is wider than the text gets smaller: else all pages would.
FIT = """() => {
  for (const cell of document.querySelectorAll("table.dataframe :is(td, th)")) {
    if (cell.textContent.length <= 16) cell.style.whiteSpace = "nowrap";
  }
  const width = document.body.clientWidth;
  for (const one of document.querySelectorAll("table, div.math, .atri-long")) {
    const room = Math.min(width, one.parentElement.clientWidth || width);
    const wide = Math.max(one.scrollWidth, one.getBoundingClientRect().width);
    if (wide > room + 1) one.style.zoom = room / wide;
  }
}"""


def chromium() -> str | None:
    """The browser: what ATRI_CHROMIUM names, else the first of its usual names on this machine."""
    names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]
    if given := os.environ.get("ATRI_CHROMIUM"):
        names = [given]
    return next(filter(None, map(shutil.which, names)), None)


def assembled(site: pathlib.Path, toc: list[str], folder: str) -> str:
    """One HTML of the pages to print in their order; links between them stay inside. folder: the
    way from it to the site.
    """
    printed = [page for page in toc if page not in LEFT_OUT]
    whole = BeautifulSoup(FRAME, "html.parser")
    for page in printed:
        soup = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        for name in ("src", "href"):
            for element in soup.select(f"[{name}]:not(a)"):
                element[name] = urljoin(f"{folder}/{page}", element[name])
        for element in soup.head.find_all(["link", "script"]):
            is_loaded = any(name in str(element) for name in LOADED)
            if is_loaded and element not in whole.head.contents:
                whole.head.append(element)
        whole.body.append(article(soup, page, printed))
    whole.body.append(whole.new_tag("p", attrs={"class": "left-out"}, string=POINTER))
    whole.head.append(whole.new_tag("title", string=whole.h1.get_text().rstrip("#")))
    whole.head.append(whole.new_tag("style", string=PRINTED))
    return str(whole)


def article(soup: BeautifulSoup, page: str, printed: list[str]) -> Tag:
    """A page as the book has it: ids and links of its own, without what only a screen can do."""
    article = soup.article
    if page.startswith("notebooks/"):
        article["class"] = [*article.get("class", []), "chapter"]
    for element in article.select("[id]:not([id^=atri-])"):  # those are looked for by scripts
        element["id"] = f"{page}--{element['id']}"
    for link in article.select("a[href]"):
        address, _, part = urljoin(f"{page}.html", link["href"]).partition("#")
        target = address.removesuffix(".html")
        if target in printed:
            link["href"] = f"#{target}--{part}" if part else f"#{target}"
        elif not urlparse(address).scheme:  # a page or file that is not printed
            link.unwrap()
    for details in article.select("details:not(.above-input)"):  # solutions, but no folded code
        details["open"] = ""
    for image in article.select("img[loading]"):
        del image["loading"]
    article["id"] = page
    return article


def needed() -> str:
    """The browser. Raises BuildFailed where there is no Chromium or no playwright."""
    browser = chromium()
    if not browser or importlib.util.find_spec("playwright") is None:
        raise BuildFailed(
            "Chromium or playwright is missing. Debian, Ubuntu: apt-get install chromium; "
            "or say where: ATRI_CHROMIUM. playwright: make env."
        )
    return browser


def print_book(site: pathlib.Path, target: pathlib.Path) -> None:
    """Write the PDF of a built site. Raises BuildFailed where there is no site, no Chromium or no
    playwright.
    """
    browser = needed()
    if not (site / "index.html").exists():
        raise BuildFailed(f"{site} holds no book: make book")
    from playwright.sync_api import sync_playwright

    source = site.parent / "print.html"
    source.write_text(assembled(site, load_toc(ROOT), site.name), encoding="utf-8")
    with atomic_path(target) as partial, sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chrome.new_page(viewport={"width": PIXELS, "height": 1000})
        page.emulate_media(media="print")
        page.goto(source.resolve().as_uri(), wait_until="load", timeout=600_000)
        page.set_default_timeout(600_000)
        page.evaluate("() => window.MathJax?.startup?.promise")
        page.evaluate(FIT)
        page.pdf(
            path=partial,
            tagged=True,
            outline=True,
            prefer_css_page_size=True,
            print_background=True,
        )
        chrome.close()


def main(*arguments: str) -> None:
    """Print the book, or only see whether it could be."""
    if arguments == ("--can",):
        needed()
        return
    book = ROOT / "_build" / "one_sound_eight_languages.pdf"
    print_book(ROOT / "_build" / "html", book)
    print(f"{book.relative_to(ROOT)}: {book.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BuildFailed as error:
        sys.exit(str(error))
