"""A page's HTML as it is read: ids of their own, languages, sound files, links, a description."""

import base64
import hashlib
import html
import io
import re

import soundfile
from bs4 import BeautifulSoup, Tag
from page_size import unwrapped
from sounds import encoded

from atri_lib.languages import LANGUAGES

FOLDER = "_sounds"  # of the site
TAGS = {  # BCP 47
    "eng": "en",
    "fra": "fr",
    "deu": "de",
    "spa": "es",
    "nld": "nl",
    "cat": "ca",
    "jpn": "ja",
    "zho": "zh-Hans",
}
NAMES = {one.name: TAGS[one.code] for one in LANGUAGES} | TAGS
KANA = r"[\u3040-\u30ff]"
HAN = r"[\u3040-\u30ff\u3400-\u9fff]"
# A link to a page of this site that does not say its language yet; "" is the page that it is on.
LINK = re.compile(r'<a (?=[^>]*\binternal\b)(?![^>]*\blang=)(?=[^>]*\bhref="([^"#]*))')
EASTERN = re.compile(rf"(?:(jpn|zho): ?)?({HAN}(?:{HAN}|[\u3000-\u303f\uff00-\uffef])*)")


def parsed(text: str) -> BeautifulSoup:
    """HTML as a tree."""
    return BeautifulSoup(text, "html.parser")


def page_language(page: str) -> str:
    """The language (BCP 47) that a page's name or address ends in: fr for `found_fra`, else en."""
    stem = page.removesuffix(".html")
    return TAGS.get(stem.rpartition("_")[2], TAGS["eng"])


def marked_links(text: str, page: str, around: str) -> str:
    """HTML of a page in which a link to a page in another language than the text around it says so:
    it reads as that page's title.
    """

    def marked(link: re.Match) -> str:
        tag = page_language(link[1] or page)
        return link[0] if tag == around else f'<a lang="{tag}" '

    return LINK.sub(marked, text)


def improved(body: str, write, root: str, page: str = "") -> str:
    """A page's body: ids of their own, wide tables that scroll inside themselves, languages,
    sounds, links.

    write(name, content) keeps a file of the site; root is the way from the page to the site's first
    folder; page is its name, as `book/found_fra`.
    """
    language = page_language(page)
    soup = parsed(marked_links(body, page, language))
    if language != TAGS["eng"]:
        for part in soup.find_all(recursive=False):
            part["lang"] = language
    for code, tag in TAGS.items():
        for part in soup.select(f".lang-{code}"):
            part["lang"] = tag
    own_ids(soup)
    unwrapped(soup)
    for style in soup.select("style[scoped]"):
        style.decompose()
    for figure in soup.select("img.atri-panels"):
        figure.wrap(soup.new_tag("div", attrs={"class": "atri-scroll"}))
    for table in soup.select("table"):
        mark_languages(table)
        table.wrap(soup.new_tag("div", attrs={"class": "atri-scroll"}))
    for text in soup.find_all(string=EASTERN):
        is_code = text.find_parent(["script", "style", "pre", "code"])
        is_marked = text.find_parent(attrs={"lang": True})
        if not is_code and not is_marked:
            text.replace_with(parsed(EASTERN.sub(eastern, html.escape(str(text)))))
    for audio in soup.select('audio[src^="data:audio/ogg;base64,"]'):
        sound_files(soup, audio, write, root)
    for entries in soup.select("div.citation-list"):
        del entries["role"]  # a list whose members are no list items
    for entry in soup.select("div.citation p"):
        link_papers(entry)
    return str(soup)


def own_ids(soup: BeautifulSoup) -> None:
    """A number behind each id that an element before has; links keep meaning the first."""
    seen = set()
    for element in soup.select("[id]"):
        name = element["id"]
        count = 1
        while element["id"] in seen:
            count += 1
            element["id"] = f"{name}-{count}"
        seen.add(element["id"])


def mark_languages(table: Tag) -> None:
    """lang on captions in a table with a row a language: in the columns whose Japanese cell is
    Japanese.
    """
    columns = {}  # number of a column -> tag of a language -> cell
    for row in table.select("tr"):
        cells = row.find_all(["th", "td"])
        tag = NAMES.get(cells[0].get_text(strip=True)) if cells else None
        if tag is None:
            continue
        for number, cell in enumerate(cells[1:]):
            columns.setdefault(number, {})[tag] = cell
    for cells in columns.values():
        if "ja" in cells and re.search(HAN, cells["ja"].get_text()):
            for tag, cell in cells.items():
                cell["lang"] = tag
    for cell in table.find_all("td"):
        mark_parts(cell)


def mark_parts(cell: Tag) -> None:
    """lang on the parts of a cell as `eng: a frog, fra: une grenouille, ...`."""
    before, *parts = re.split(rf"\b({'|'.join(TAGS)}): ", cell.string or "")
    if before or not parts:
        return
    cell.clear()
    for code, text in zip(parts[::2], parts[1::2], strict=True):
        cell.append(parsed(f'{code}: <span lang="{TAGS[code]}">{html.escape(text)}</span>'))


def eastern(match: re.Match) -> str:
    """Japanese or Chinese words in a text, marked; kana is Japanese, Han alone Chinese unless
    `jpn:` stands before.
    """
    given, words = match.groups()
    code = given
    if not given:
        code = "jpn" if re.search(KANA, words) else "zho"
    before = f"{given}: " if given else ""
    return f'{before}<span lang="{TAGS[code]}">{words}</span>'


def sound_files(soup: BeautifulSoup, audio: Tag, write, root: str) -> None:
    """An embedded Ogg becomes two files, Ogg and MP3 (for Safari), that are loaded when they are
    played.
    """
    content = base64.b64decode(audio["src"].split(",", 1)[1])
    name = hashlib.sha256(content).hexdigest()[:16]
    samples, rate = soundfile.read(io.BytesIO(content))
    del audio["src"]
    audio["data-seconds"] = f"{len(samples) / rate:.1f}"

    def add(suffix: str, mime: str, sound: bytes) -> None:
        file = f"{FOLDER}/{name}.{suffix}"
        write(file, sound)
        audio.append(soup.new_tag("source", attrs={"src": root + file, "type": mime}))

    add("ogg", "audio/ogg", content)
    add("mp3", "audio/mpeg", encoded(samples, rate, "MP3", level=0.7))


def link_papers(entry: Tag) -> None:
    """Links for the arXiv numbers in an entry of the list of references."""
    for text in entry.find_all(string=re.compile(r"arXiv:\d{4}\.\d{4,5}")):
        if not text.find_parent("a"):
            link = r'<a class="reference external" href="https://arxiv.org/abs/\1">\g<0></a>'
            linked = re.sub(r"arXiv:(\d{4}\.\d{4,5})", link, html.escape(str(text)))
            text.replace_with(parsed(linked))


def description(body: str, length: int = 200) -> str:
    """The first sentences of a page, for search engines and previews."""
    found = ""
    for paragraph in parsed(body).select("section > p"):
        text = " ".join(paragraph.get_text().split())
        if len(text) > 60:
            found = text.removeprefix("The question. ")
            break
    if len(found) <= length:
        return found
    return found[:length].rsplit(" ", 1)[0] + " …"
