"""Translations of pages: they hold what English does, follow it, and say their language."""

import re
import shutil

import pages
import pytest
from headless import needs_browser, scripted
from pages import ROOT, load_toc
from quoted import MARK
from translations import follows, stale

from atri_lib.languages import CODES, LANGUAGES

ENGLISH = ROOT / "book" / "found.md"
TRANSLATED = {}
for one in LANGUAGES:
    path = ENGLISH.with_stem(f"found_{one.code}")
    if path.exists():
        TRANSLATED[one.name] = path.read_text(encoding="utf-8")
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
    comment = follows(ENGLISH)
    assert stale(ENGLISH) == [], f"bring them up to date, then write {comment}"


def test_a_changed_english_text_and_a_translation_that_follows_none_are_named(tmp_path):
    for path in ENGLISH.parent.glob("found*.md"):
        shutil.copy(path, tmp_path)
    french = tmp_path / "found_fra.md"
    french.write_text("# Sans commentaire", encoding="utf-8")
    page = tmp_path / "found.md"
    assert stale(page) == ["French"]
    page.write_text(page.read_text(encoding="utf-8") + "More.", encoding="utf-8")
    assert set(stale(page)) == set(TRANSLATED)


def test_the_pages_script_knows_the_languages():
    script = (ROOT / "book" / "_static" / "atri.js").read_text(encoding="utf-8")
    for one in LANGUAGES:
        tag = "zh-Hans" if one.code == "zho" else one.locale
        assert f'{one.code}: "{tag}"' in script and f'{one.name}: "{tag}"' in script


def link(address, text):
    return f'<a class="reference internal" href="{address}">{text}</a>'


@needs_browser
def test_a_translated_page_and_the_links_to_it_say_their_language(tmp_path):
    links = [link("found.html", "English"), link("#a", "ici"), link("../notebooks/14_a.html", "14")]
    article = f"<article><section lang='fr'>{''.join(links)}</section></article>"
    near = '<a href="found_zho.html"><p class="prev-next-title">Was</p></a>'
    body = f'{article}<div class="prev-next-area">{near}</div>'
    page = scripted(tmp_path, body, "found_fra.html")
    assert [one.get("lang") for one in page.select("a")] == ["en", "fr", "en", None]
    assert page.select_one(".prev-next-title")["lang"] == "zh-Hans"


@needs_browser
def test_an_english_page_names_the_language_of_translated_titles_only(tmp_path):
    links = [link("found_deu.html", "Was"), link("#", "ここ"), link("status.html", "Status")]
    page = scripted(tmp_path, f"<nav>{''.join(links)}</nav><article></article>", "found.html")
    assert [one.get("lang") for one in page.select("nav a")] == ["de", None, None]


def test_the_status_page_names_translations_that_are_behind(monkeypatch):
    for behind, said in (([], "none"), (["French", "Dutch"], "French, Dutch")):
        monkeypatch.setattr(pages, "stale", lambda page, behind=behind: behind)
        source = ["older: <!-- translations -->"]
        pages.shown(None, "book/status", source)
        assert source == [f"older: {said}"]
