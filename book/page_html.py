"""A page's HTML as it is read: ids of their own, languages, links, a description."""

import collections
import html
import re
import textwrap

from bs4 import BeautifulSoup, Tag

from atri_lib.languages import LANGUAGES

# BCP 47
TAGS = {one.code: one.locale for one in LANGUAGES} | {"zho": "zh-Hans"}
NAMES = {one.name: TAGS[one.code] for one in LANGUAGES} | TAGS
HAN = r"[\u3040-\u30ff\u3400-\u9fff]"
KANA = r"[\u3040-\u30ff]"
EASTERN = re.compile(rf"(?:(jpn|zho): ?)?({HAN}(?:{HAN}|[\u3000-\u303f\uff00-\uffef])*)")
# Classes of spans around names, brackets and spaces, in the colour of all text.
PLAIN = (["n"], ["p"], ["w"], ["pre"])


def parsed(text: str) -> BeautifulSoup:
    """HTML as a tree."""
    return BeautifulSoup(text, "html.parser")


def page_language(page: str) -> str:
    """The language (BCP 47) that a page's name or address ends in: fr for `found_fra`, else en."""
    stem = page.removesuffix(".html")
    return TAGS.get(stem.rpartition("_")[2], TAGS["eng"])


def improve(soup: BeautifulSoup, page: str) -> None:
    """Give a page ids of their own, wide tables that scroll inside themselves, and languages.

    page: its name, as `book/found_fra`.
    """
    article = soup.article or soup
    mark_page(soup, article, page)
    own_ids(article)
    for button in soup.select(".toctree-toggle"):  # which the theme leaves without a name
        button.parent["aria-label"] = "Pages below"
    for span in article.select("div.highlight pre span, dt.sig span"):
        if span.get("class") in PLAIN:
            span.unwrap()
    for style in article.select("style[scoped]"):
        style.decompose()
    for table in article.select("table"):
        mark_languages(table)
    for wide in article.select("table, img.atri-panels"):
        wide.wrap(soup.new_tag("div", attrs={"class": "atri-scroll"}))
    for text in article.find_all(string=EASTERN):
        is_code = text.find_parent(["script", "style", "pre", "code"])
        is_marked = text.find_parent(attrs={"lang": True}) not in (None, soup.html)
        if not is_code and not is_marked:
            text.replace_with(parsed(EASTERN.sub(eastern, html.escape(str(text)))))
    for entries in article.select("div.citation-list"):
        del entries["role"]  # a list whose members are no list items


def mark_page(soup: BeautifulSoup, article: Tag, page: str) -> None:
    """lang on a translated page, on English parts of it, and on links, which read as the title of
    the page that they lead to.
    """
    language = page_language(page)
    if language != TAGS["eng"]:
        for part in article.find_all(recursive=False):
            part["lang"] = language
    for part in article.select(".lang-eng"):
        part["lang"] = TAGS["eng"]
    for link in soup.select("a.internal[href], .prev-next-area a[href]"):
        tag = page_language(link["href"].partition("#")[0] or page)
        if {tag, language} != {TAGS["eng"]}:
            title = link.select_one(".prev-next-title") or link
            title["lang"] = tag


def own_ids(article: Tag) -> None:
    """A number behind each id that an element before has; links keep meaning the first."""
    times = collections.Counter()
    for element in article.select("[id]"):
        name = element["id"]
        times[name] += 1
        if times[name] > 1:
            element["id"] = f"{name}--{times[name]}"


def mark_languages(table: Tag) -> None:
    """lang on captions in a table with a row a language: in the columns whose Japanese cell is
    Japanese.
    """
    rows = {}  # tag of a language -> cells
    for row in table.select("tr:has(> th, > td)"):
        first, *cells = row.find_all(["th", "td"])
        name = first.get_text(strip=True)
        if name in NAMES:
            rows[NAMES[name]] = cells
    for column in zip(*rows.values(), strict=False):
        cells = dict(zip(rows, column, strict=True))
        if "ja" in cells and re.search(HAN, cells["ja"].get_text()):
            for tag, cell in cells.items():
                cell["lang"] = tag


def eastern(match: re.Match) -> str:
    """Japanese or Chinese words in a text, marked; kana is Japanese, Han alone Chinese unless
    `jpn:` stands before.
    """
    given, words = match.groups()
    code = given or ("jpn" if re.search(KANA, words) else "zho")
    before = f"{given}: " if given else ""
    return f'{before}<span lang="{TAGS[code]}">{words}</span>'


def description(soup: BeautifulSoup, length: int = 200) -> str:
    """The first sentences of a page, for search engines and previews."""
    for paragraph in soup.select("article section > p"):
        text = paragraph.get_text().strip().removeprefix("The question. ")
        if len(text) > 60:
            return textwrap.shorten(text, length, placeholder=" …")
    return ""
