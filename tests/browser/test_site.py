"""The built site in a browser: `make browser-test`. With ATRI_SHOTS=1 screenshots are left in
_build/browser.

Skipped where there is no site (`make book` or `jupyter-book build .` makes one), no Chromium or no
playwright.
"""

import functools
import http.server
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

import nbformat
import pages
import pdf
import pytest
from bs4 import BeautifulSoup
from test_files import ROOT, SITE, html_pages

SHOTS = ROOT / "_build" / "browser"
PAGES = [*pages.load_toc(ROOT), "genindex", "search"]
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
PICTURES = "ATRI_SHOTS" in os.environ  # of every page, in _build/browser
WIDE, NARROW = 1400, 380
MB = 1e6
FIRST, LARGEST, WHOLE = (
    1 * MB,
    2.5 * MB,
    15 * MB,
)  # bytes sent for the first page, for any page; of the whole site without the encoder
PRINTED_PAGES = 240
LIVE = "_static/search/live"  # what only a reader who asks for it is sent
ENCODER = 12 * MB

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason=f"no site in {SITE}: make book"),
    pytest.mark.skipif(
        not pdf.chromium(), reason="no Chromium: apt-get install chromium, or set ATRI_CHROMIUM"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="no playwright: make env"
    ),
]

# What is cut: wider than the window and in nothing that scrolls; or scrolled without the cue and
# the keyboard's reach.
CUT = """() => {
  const width = document.documentElement.clientWidth, found = [];
  const scrolls = (one) => ["auto", "scroll"].includes(getComputedStyle(one).overflowX);
  const name = (one) => {
    const text = one.textContent.trim().slice(0, 40);
    return `${one.tagName.toLowerCase()}.${one.className} ${text}`;
  };
  const whole = document.documentElement.scrollWidth;
  if (whole > width + 1) found.push(`page: ${whole} px`);
  for (const one of document.querySelectorAll("article *")) {
    const box = one.getBoundingClientRect();
    if (!box.width || !box.height || !one.checkVisibility()) continue;
    if (one.closest("mjx-assistive-mml, .atri-spoken, [aria-hidden=true]")) continue;
    const cue = one.tabIndex === 0 && one.classList.contains("atri-wide");
    if (scrolls(one) && one.scrollWidth > one.clientWidth + 1 && !cue) {
      found.push(`no cue: ${name(one)}`);
    }
    if (box.right <= width + 1) continue;
    let parent = one.parentElement;
    while (parent && parent !== document.body && !scrolls(parent)) parent = parent.parentElement;
    if (!parent || parent === document.body) {
      found.push(`cut at ${Math.round(box.right)}: ${name(one)}`);
    }
  }
  for (const one of document.querySelectorAll("article div.math, article table, article pre")) {
    for (let parent = one; parent && parent.tagName !== "ARTICLE"; parent = parent.parentElement) {
      const hides = getComputedStyle(parent).overflowX === "hidden";
      const folded = parent.closest("details:not([open])");
      if (hides && parent.scrollWidth > parent.clientWidth + 1 && !folded) {
        found.push(`hidden: ${name(one)}`);
      }
    }
  }
  return found;
}"""
DOLLARS = """() => {
  const article = document.querySelector("article") || document.body;
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (text.parentElement.closest("code, pre, script, style, mjx-container, kbd")) continue;
    const raw = /\\$[^\\s$][^$]*\\$|\\\\\\(|\\\\\\[|\\{eq\\}|\\{glue/.test(text.data);
    if (raw) found.push(text.data.trim().slice(0, 80));
  }
  return found;
}"""
# What axe finds by rules that need no colours.
AXE = """async (rules) => {
  const options = { runOnly: rules, rules: { "color-contrast": { enabled: false } } };
  return grave(await axe.run({ exclude: [["mjx-container"]] }, options));
}"""
# Text too faint for what is behind it. Contrast follows from colours and size: of the texts that
# look the same, the eight longest are measured, and all others where axe has no verdict on these
# (hidden, too short, covered). Measuring all of them took most of the time of these tests.
CONTRAST = """async () => {
  const grounds = new Map([[null, ""]]);
  const ground = (one) => {
    if (!grounds.has(one)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(one);
      const clear = backgroundColor === "rgba(0, 0, 0, 0)" && backgroundImage === "none";
      const own = clear && opacity === "1" ? "" : backgroundColor + backgroundImage + opacity;
      grounds.set(one, own + ground(one.parentElement));
    }
    return grounds.get(one);
  };
  const looks = new Map();
  const lookOf = new Map();
  for (const one of document.querySelectorAll("body *")) {
    const speaks = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!speaks && !one.matches("input, select, textarea")) continue;
    const seen = one.checkVisibility({ visibilityProperty: true }) && !one.disabled;
    if (!seen || one.closest("mjx-container")) continue;
    const { color, fontSize, fontWeight, position } = getComputedStyle(one);
    const look = [color, fontSize, fontWeight, position, ground(one)].join();
    looks.set(look, [...(looks.get(look) || []), one]);
    lookOf.set(one, look);
  }
  const options = { runOnly: ["color-contrast"], elementRef: true };
  const judged = new Set();
  const measure = async (elements) => {
    if (!elements.length) return [];
    const { passes, violations } = await axe.run({ include: elements }, options);
    for (const { nodes } of [...passes, ...violations]) {
      for (const { element } of nodes) judged.add(lookOf.get(element));
    }
    return grave({ violations });
  };
  const longest = (one, other) => other.textContent.length - one.textContent.length;
  for (const alike of looks.values()) alike.sort(longest);
  const first = await measure([...looks.values()].flatMap((alike) => alike.slice(0, 8)));
  const open = [...looks].filter(([look]) => !judged.has(look));
  return [...first, ...await measure(open.flatMap(([, alike]) => alike.slice(8)))];
}"""
# The violations that count, as lines.
GRAVE = """
window.grave = ({ violations }) => {
  const where = (one) => one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ");
  const found = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  return found.map((one) => `${one.id} (${one.nodes.length}): ${where(one)}`);
};
null;"""
PLAYERS = """async () => {
  const found = [];
  for (const audio of document.querySelectorAll("audio")) {
    if (!audio.getAttribute("aria-label")) found.push("a player without a name");
    const problem = await new Promise((resolve) => {
      const probe = new Audio(audio.src);
      probe.addEventListener("loadeddata", () => resolve(probe.duration > 0.1 ? null : "empty"));
      probe.addEventListener("error", () => resolve("not decoded"));
    });
    if (problem) found.push(`${audio.src.slice(0, 80)}: ${problem}`);
  }
  return found;
}"""


# After the next frame; colours change at once, so that nobody waits for them to fade.
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"
LOOK = """(theme) => {
  document.documentElement.dataset.theme = theme;
  if (document.querySelector("#at-once")) return;
  const style = document.createElement("style");
  style.id = "at-once";
  style.textContent = "* { transition: none !important; animation: none !important; }";
  document.head.append(style);
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def address():
    """The site, served without compression: what is weighed is what lies in the files."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def chrome():
    from playwright.sync_api import sync_playwright

    if PICTURES:
        SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pdf.chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe():
    import axe_playwright_python

    file = pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js"
    return file.read_text(encoding="utf-8") + GRAVE


class Visit:
    """A page as it was opened: its problems and what was sent for it."""

    def __init__(self, chrome, url: str, width: int = WIDE) -> None:
        self.page = chrome.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(120_000)
        self.problems, self.sent = [], {}
        self.origin = ("http://127.0.0.1:", "file:", "data:", "blob:")
        self.page.on(
            "console",
            lambda one: one.type == "error" and self.problems.append(f"console: {one.text}"),
        )
        self.page.on("pageerror", lambda one: self.problems.append(f"script: {one}"))
        self.page.on("requestfailed", lambda one: self.problems.append(f"not loaded: {one.url}"))
        self.page.on("response", self.weigh)
        self.page.goto(url, wait_until="load", timeout=120_000)
        self.page.evaluate("() => window.MathJax?.startup?.promise?.then(() => null)")
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate(DRAWN)

    def weigh(self, response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")
        if not response.url.startswith(self.origin):
            self.problems.append(f"fetched from elsewhere: {response.url[:80]}")
        self.sent[response.url] = int(response.headers.get("content-length", 0))

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.page.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_at_every_width_and_in_both_themes(chrome, address, axe, page):
    """Opened once, then made narrow. Colours are the same at any width; those of what only a
    narrow window shows, which is the same on all pages, are looked at on two.
    """
    looked_at_narrow = page in (PAGES[0], CHAPTERS[0])
    with Visit(chrome, f"{address}/{page}.html", WIDE) as visit:
        shown, weight = visit.page, sum(visit.sent.values())
        problems = [*visit.problems]
        loaded = len(problems)
        problems += [f"raw markup: {text}" for text in shown.evaluate(DOLLARS)]
        problems += shown.evaluate(PLAYERS)
        shown.evaluate(axe)
        for width, theme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light")):
            shown.evaluate(LOOK, theme)
            found = []
            if theme == "light":
                shown.set_viewport_size({"width": width, "height": 900})
                shown.evaluate(DRAWN)
                found += shown.evaluate(CUT) + shown.evaluate(AXE, ["wcag2a", "wcag2aa"])
            if width == WIDE or looked_at_narrow:
                found += shown.evaluate(CONTRAST)
            problems += [f"{width}, {theme}: {one}" for one in found]
            if PICTURES:
                shot = SHOTS / f"{page.replace('/', '-')}-{width}-{theme}.jpg"
                shown.screenshot(path=shot, full_page=True, type="jpeg", quality=70)
        # Later on axe fetches styles itself, which may fail; scripts may not.
        problems += [one for one in visit.problems[loaded:] if one.startswith("script:")]
    limit = FIRST if page == PAGES[0] else LARGEST
    if weight > limit:
        heavy = sorted(((size, url) for url, size in visit.sent.items()), reverse=True)[:5]
        problems.append(f"{weight / MB:.2f} MB sent (at most {limit / MB:.1f}): {heavy}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("page", [PAGES[0], CHAPTERS[0], "book/search"])
def test_a_page_loads_in_a_narrow_window(chrome, address, page):
    with Visit(chrome, f"{address}/{page}.html", NARROW) as visit:
        assert visit.problems + visit.page.evaluate(CUT) == []


BAD = {
    "cut at": "<table style='width: 3000px'><tr><td>wide</td></tr></table>",
    "no cue": "<div style='overflow-x: auto'><p style='width: 3000px'>wide</p></div>",
    "hidden": "<div style='overflow: hidden'><pre style='width: 3000px'>x</pre></div>",
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_cut_is_found_out(chrome, kind):
    page = chrome.new_page(viewport={"width": 380, "height": 900})
    page.set_content(f"<article>{BAD[kind]}</article>")
    assert any(one.startswith(kind) for one in page.evaluate(CUT))
    page.set_content("<article><table><tr><td>narrow</td></tr></table></article>")
    assert page.evaluate(CUT) == []
    page.close()


def test_raw_markup_missing_names_and_silent_players_are_found_out(chrome, axe):
    page = chrome.new_page()
    page.set_content(
        "<article><p>costs $x$</p><img src='data:,'><audio src='data:audio/ogg;base64,aa'></audio>"
        "<p>dark</p><p>dark too</p><p class=x>.</p><p class=x hidden>.</p><p class=x>.</p>"
        "<p class=x>faint</p><style>.x { color: #999 }</style>"
    )
    page.evaluate(axe)
    assert page.evaluate(DOLLARS) == ["costs $x$"]
    assert any(one.startswith("image-alt") for one in page.evaluate(AXE, ["wcag2a"]))
    (faint,) = page.evaluate(CONTRAST)
    assert faint.startswith("color-contrast (1)") and "faint" in faint
    assert "a player without a name" in page.evaluate(PLAYERS)
    page.close()


@pytest.mark.parametrize("page", [PAGES[0], CHAPTERS[0]])
def test_the_pages_work_from_a_file(chrome, page):
    with Visit(chrome, (SITE / f"{page}.html").resolve().as_uri()) as visit:
        assert visit.problems == []
        assert visit.page.evaluate("() => typeof atri.code") == "function"


def test_the_switch_for_code_holds_on_every_chapter(chrome, address):
    with Visit(chrome, f"{address}/{CHAPTERS[0]}.html") as visit:
        page = visit.page
        seen = """() => [...document.querySelectorAll('.cell_input')]
            .filter((one) => one.checkVisibility()).length"""
        total = page.locator(".cell_input").count()
        assert 0 < page.evaluate(seen) < total
        for way, expected in (("all", total), ("none", 0)):
            page.get_by_role("button", name="Code on all pages").click()
            page.locator(f".btn-code-{way}").click()
            assert page.evaluate(seen) == expected
        page.goto(f"{address}/{CHAPTERS[1]}.html")
        assert page.locator(".cell_input").count() > 0 and page.evaluate(seen) == 0
        page.evaluate("() => atri.code('teach')")
        assert page.evaluate(seen) > 0


def test_the_slider_moves_the_bars_to_their_values(chrome, address):
    chapter = next(
        one
        for one in CHAPTERS
        if '"sliders": [' in (SITE / f"{one}.html").read_text(encoding="utf-8")
    )
    with Visit(chrome, f"{address}/{chapter}.html") as visit:
        page, box = visit.page, visit.page.locator(".atri-bars").first
        box.locator("summary").click()
        table = [
            [float(cell) for cell in row.locator("td").all_inner_texts()]
            for row in box.locator("tbody tr").all()
        ]
        box.locator("input").focus()
        for _ in range(len(table)):
            page.keyboard.press("ArrowLeft")
        for place, values in enumerate(table):
            assert box.locator("input").input_value() == str(place)
            heights = [float(one.get_attribute("height")) for one in box.locator("rect").all()]
            assert heights == pytest.approx([276 * value for value in values], abs=0.05)
            page.keyboard.press("ArrowRight")


def test_the_whole_site_is_light_and_has_no_button_that_sends_data_away():
    files = [path for path in SITE.rglob("*") if path.is_file()]
    encoder = sum(path.stat().st_size for path in (SITE / LIVE).glob("*-*.js"))
    assert 0 < encoder < ENCODER
    assert sum(path.stat().st_size for path in files) - encoder < WHOLE
    assert not [path.name for path in files if path.suffix == ".map"]
    text = "".join(path.read_text(encoding="utf-8") for path in html_pages())
    assert not re.search(r"sendDataToCloud|showSendToCloud|plotlyServerURL\W+https", text)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_can_be_taken_home(chapter):
    soup = BeautifulSoup((SITE / f"{chapter}.html").read_text(encoding="utf-8"), "html.parser")
    links = {link["href"] for link in soup.select("a[href$='.ipynb']")}
    notebooks = {
        link: nbformat.read((SITE / chapter).parent / link, as_version=4) for link in links
    }
    held = {
        link: any(cell.get("outputs") for cell in notebook.cells)
        for link, notebook in notebooks.items()
    }
    assert sorted(held.values()) == [False, True]
    assert soup.select_one("meta[name=description]")["content"]
    assert soup.select_one("link[rel=icon]") and soup.select_one("meta[property='og:image']")


@pytest.mark.slow
def test_the_printed_book_is_no_thicker_than_a_book(tmp_path):
    match = shutil.which("fc-match") and subprocess.check_output(["fc-match", "Arial"], text=True)
    if not re.match("Liberation|Arial", match or ""):
        pytest.skip("the font of the printed book is not here: apt-get install fonts-liberation")
    # In a process of its own: here a browser runs already.
    code = "import pathlib, pdf, sys; pdf.print_book(*map(pathlib.Path, sys.argv[1:]))"
    given = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "book")])}
    command = [sys.executable, "-c", code, SITE.resolve(), tmp_path / "book.pdf"]
    subprocess.run(command, env=given, check=True)
    content = (tmp_path / "book.pdf").read_bytes()  # Chromium leaves page objects uncompressed
    assert 150 < len(re.findall(rb"/Type /Page\b", content)) <= PRINTED_PAGES
