"""Translations of pages: they hold what English does, follow it, and say their language."""

import re
import shutil

import pages
import pytest
from page_html import improve, page_language, parsed
from pages import ROOT, load_toc
from quoted import MARK
from translations import follows, stale, translated

from atri_lib.languages import CODES, LANGUAGES

ENGLISH = ROOT / "book" / "found.md"
TRANSLATED = translated(ENGLISH)
REVIEW = (
    "Machine translation, not reviewed by a native speaker; the [English page](found.md) counts."
)


def cells_and_marks(text):
    """For each row of a table the number of its bars, and all marks in their order."""
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    return rows, MARK.findall(text)


def links(text):
    return re.findall(r"\{doc\}`([^`]+)`", text)


def test_there_is_one_translation_for_each_other_language_and_english_links_to_it():
    assert list(TRANSLATED) == [one.name for one in LANGUAGES if one.code != "eng"]
    first_lines = ENGLISH.read_text(encoding="utf-8").splitlines()[:5]
    linked = re.findall(r"\]\((\w+)\.md\)", "".join(first_lines))
    assert linked == [f"found_{code}" for code in CODES if code != "eng"]
    listed = [page for page in load_toc(ROOT) if page.startswith("book/found")]
    assert listed == ["book/found", *(f"book/{name}" for name in linked)]


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_translation_has_the_numbers_tables_and_links_of_the_english_page(name):
    english = ENGLISH.read_text(encoding="utf-8")
    assert cells_and_marks(TRANSLATED[name]) == cells_and_marks(english)
    assert links(TRANSLATED[name]) == links(english)
    for kind in (r"(?m)^#+ ", r"(?m)^\d\. ", r"(?m)^- ", "`--alignment ridge`"):
        assert len(re.findall(kind, TRANSLATED[name])) == len(re.findall(kind, english)), kind


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_translation_says_first_that_nobody_reviewed_it(name):
    title, comment, note, *_ = TRANSLATED[name].split("\n\n")
    assert title.startswith("# ") and comment.startswith("<!-- follows ")
    assert note.startswith("::::{admonition}")
    assert REVIEW in TRANSLATED[name].partition("\n::::\n")[0]


def test_no_translation_follows_an_older_text():
    comment = follows(ENGLISH.read_text(encoding="utf-8"))
    assert stale(ENGLISH) == [], f"bring them up to date, then write {comment}"


def test_a_changed_english_text_and_a_translation_that_follows_none_are_named(tmp_path):
    for path in ENGLISH.parent.glob("found*.md"):
        shutil.copy(path, tmp_path)
    french = tmp_path / "found_fra.md"
    french.write_text("# Sans commentaire", encoding="utf-8")
    page = tmp_path / "found.md"
    assert stale(page) == ["French"]
    page.write_text(page.read_text(encoding="utf-8") + "More.", encoding="utf-8")
    assert stale(page) == list(TRANSLATED)


def test_the_language_of_a_page_is_in_its_name():
    assert page_language("book/found_fra") == page_language("../book/found_fra.html") == "fr"
    assert page_language("book/found_zho") == "zh-Hans"
    assert page_language("book/found") == page_language("notebooks/14_what_kcl_costs") == "en"


def link(address, text):
    return f'<a class="reference internal" href="{address}">{text}</a>'


def improved(body, page):
    soup = parsed(body)
    improve(soup, page)
    return soup


def test_a_translated_page_and_the_links_to_it_say_their_language():
    body = f"<section><p>{link('found.html', 'English')} {link('#a', 'ici')}</p></section>"
    soup = improved(body, "book/found_fra")
    assert soup.section["lang"] == "fr"
    assert [one.get("lang") for one in soup.select("a")] == ["en", "fr"]
    body = f"<p>{link('found_jpn.html', '日本語')} {link('status.html', 'Status')}</p>"
    soup = improved(body, "book/found")
    assert [one["lang"] for one in soup.select("[lang]")] == ["ja"]
    part = '<section><div class="lang-eng">x</div></section>'
    assert improved(part, "book/found_zho").div["lang"] == "en"


def test_what_surrounds_a_page_says_the_language_of_translated_titles():
    title = '<a href="found_deu.html"><p class="prev-next-title">Was</p></a>'
    near = f'<div class="prev-next-area">{title}</div>'
    links = [link("found_fra.html", "Ce"), link("#", "ここ"), link("found.html", "What")]
    around = f"<nav>{''.join(links)}</nav>"
    soup = improved(f"{around}{near}<article></article>", "book/found_jpn")
    assert [one.get("lang") for one in soup.select("nav a")] == ["fr", "ja", "en"]
    assert soup.select_one(".prev-next-title")["lang"] == "de"


def test_the_status_page_names_translations_that_are_behind(monkeypatch):
    for behind, said in (([], "none"), (["French", "Dutch"], "French, Dutch")):
        monkeypatch.setattr(pages, "stale", lambda page, behind=behind: behind)
        source = ["older: <!-- translations -->"]
        pages.shown(None, "book/status", source)
        assert source == [f"older: {said}"]
