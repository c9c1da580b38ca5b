"""The explorables in a browser: sliders move curves to the values of the library's formulas."""

import ast
import html
import json
import pathlib
import re
from decimal import Decimal

import chapters
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from headless import loaded, needs_browser, scripted
from small_chapters import COMMITTED, ROOT

from atri_lib.schemes import SCHEMES
from atri_lib.theory import bounds
from book import viz
from studies import split_law
from studies.fixed_counts import Few, accumulated_error
from studies.mean_square_law import mean_square
from studies.symbolic import schedule

EXPLORE = ROOT / "book" / "_static" / "explore"
NAMES = sorted(path.stem for path in EXPLORE.glob("*.js") if path.stem != "plot")
MEASURED = {  # after 16 epochs: b, in turn or not, own part, its standard error, stable part
    "balanced": (1, True, 0.128, 0.0043, 0.362),
    "ML-CLAP": (1, False, 0.148, 0.0049, 0.36),
    "hold 2": (2, False, 0.179, 0.0058, 0.361),
    "hold 4": (4, False, 0.233, 0.0073, 0.362),
    "hold 8": (8, False, 0.326, 0.0117, 0.379),
    "hold all": (16, False, 0.521, 0.0155, 0.415),
    "2 each, in pairs": (2, True, 0.148, 0.005, 0.354),
    "4 of 4, in blocks": (4, True, 0.21, 0.0063, 0.362),
    "8 of 2, in blocks": (8, True, 0.303, 0.0102, 0.387),
}
PARTS = ("hold", "turns", "own", "error", "stable")
VALUES = {
    "direction": {"K": 8, "m": 1, "c": 0.4512, "dots": [[1, 38.4], [4, 17.0]]},
    "bounds": {"eta": 0.05, "lipschitz": 280.5, "h": 0.12, "T": 40,
               "error": 1.75, "gradient": 57.2, "xi": 3.5,
               "dots": {"measured": [[1, 0.18], [40, 0.97]]}},
    "step": {"old": 1, "fresh": 0.6, "angle": 60},
    "walk": {"K": 8, "epochs": 16, "hold": 3, "rho": 1, "seed": 5},
    "law": {"K": 8, "epochs": 16, "tolerance": 0.1,
            "dots": [dict(zip(PARTS, parts, strict=True), fitted=name in split_law.FITTED)
                     for name, parts in MEASURED.items()]},
}  # fmt: skip
MOVES = {  # slider positions, one after the other; the sliders that a move does not name stay
    "direction": [
        {},
        {"m": 3},
        {"K": 12, "m": 12},
        {"K": 5},
        {"c": -0.0488, "m": 2},
        {"K": 8, "m": 6, "c": 0.9012},
    ],
    "bounds": [
        {},
        {"eta": -2.00103, "T": 10},
        {"lipschitz": 0.44793, "h": 0.07918},
        {"T": 400, "eta": -0.30103},
    ],
    "step": [
        {},
        {"angle": 0},
        {"angle": 180, "fresh": 1.5},
        {"angle": 90},
        {"old": 0.35, "angle": 133},
        {"old": 0},
    ],
    "walk": [
        {},
        {"epochs": 8},
        {"epochs": 21, "hold": 5},
        {"rho": 0.8},
        {"epochs": 32, "hold": 8, "rho": 0.93},
    ],
    "law": [  # hold: b as a power of two, of which 5 is all epochs
        {},
        {"hold": 0},
        {"E": 32, "hold": 5},
        {"E": 13, "hold": 3, "rho": 0.87},
        {"E": 16, "rho": 0.5},
        {"hold": 1, "rho": 1},
    ],
}
ACT = """
const errors = [], states = {};
addEventListener("error", (event) => errors.push(event.message));
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".explorable[role]")) {
    const keep = () => ({results: JSON.parse(box.dataset.results), page: box.innerHTML});
    const input = (name) => box.querySelector(`[data-slider=${name}]`);
    states[box.dataset.explorable] = MOVES[box.dataset.explorable].map((move) => {
      for (const [name, position] of Object.entries(move)) {
        input(name).value = position;
        input(name).dispatchEvent(new Event("input", {bubbles: true}));
      }
      return keep();
    });
    box.querySelectorAll("[type=checkbox], button").forEach((control) => control.click());
    states[box.dataset.explorable].push(keep());
  }
  const told = document.createElement("script");
  told.type = "application/json";
  told.id = "told";
  told.textContent = JSON.stringify({errors, states}).replaceAll("<", "\\\\u003c");
  document.body.append(told);
});
"""


def shown(folder, body, *, named=(*NAMES,), act=""):
    """The document of a page with `body` and the named explorables' scripts, as Chromium has it
    after loading.
    """
    tags = "".join(
        f'<script defer src="{EXPLORE.as_uri()}/{name}.js"></script>' for name in ("plot", *named)
    )
    style = f'<link rel="stylesheet" href="{EXPLORE.as_uri()}/explore.css">'
    page = folder / "page.html"
    head = f'<meta charset="utf-8"><title>x</title>{style}<script>{act}</script>{tags}'
    page.write_text(
        f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>',
        encoding="utf-8",
    )
    return loaded(page)


def box(name, **values):
    return viz.explorable(name, f"What {name} shows", **values).forms["text/html"]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    body = "".join(box(name, **VALUES[name]) for name in NAMES)
    return shown(
        tmp_path_factory.mktemp("page"), body, act=f"const MOVES = {json.dumps(MOVES)};{ACT}"
    )


@pytest.fixture(scope="module")
def states(document):
    """What each explorable computed and drew after each of its moves, and after its check box or
    button.
    """
    told = json.loads(document.find(id="told").string)
    assert told["errors"] == []
    return {
        name: [(state["results"], BeautifulSoup(state["page"], "html.parser")) for state in kept]
        for name, kept in told["states"].items()
    }


def line(page, name):
    """The points [n, 2] of a drawn line, read back from its pixels by the ends of the axes."""
    path = page.find("path", {"data-line": name})
    axes = json.loads(path.find_parent("svg")["data-axes"])
    pixels = np.array(
        [[float(number) for number in pair.split(",")] for pair in path["d"][1:].split("L")]
    )
    ends = [(axes["x"], axes["across"]), (axes["y"], axes["up"])]
    return np.stack(
        [
            low + (pixels[:, i] - a) / (b - a) * (high - low)
            for i, ((low, high), (a, b)) in enumerate(ends)
        ],
        1,
    )


@needs_browser
def test_direction_error_is_that_of_the_theorem(states):
    settings = []
    for results, page in states["direction"]:
        K, m, c = (results[name] for name in ("K", "m", "c"))
        settings.append((K, m, round(c, 4)))
        used = np.arange(1, K + 1)
        angles = np.degrees(
            np.arccos(np.minimum(1, np.sqrt(used * (1 + (K - 1) * c) / (K * (1 + (used - 1) * c)))))
        )
        assert results["degrees"] == pytest.approx(angles[m - 1], abs=1e-6)
        assert line(page, "formula") == pytest.approx(np.stack([used, angles], 1), abs=0.01)
        turn = line(page, "used")[1] - line(page, "used")[0]
        assert np.degrees(np.arctan2(turn[1], turn[0])) == pytest.approx(angles[m - 1], abs=0.1)
        hollow = page.select("circle.hollow")
        assert len(hollow) == (
            3 if K == 8 else 1
        )  # one in the legend; measured dots only beside their own K
    assert settings[:-1] == [
        (8, 1, 0.4512), (8, 3, 0.4512), (12, 12, 0.4512),
        (5, 5, 0.4512), (5, 2, -0.0488), (8, 6, 0.9012),
    ]  # fmt: skip


@needs_browser
def test_bounds_and_law_are_those_of_the_library(states):
    given, seen = VALUES["bounds"], []
    for results, page in states["bounds"]:
        eta, lipschitz, h, T = (results[name] for name in ("eta", "lipschitz", "h", "T"))
        seen.append((round(eta, 4), round(lipschitz, 1), round(h, 3), T))
        rho, fresh = np.full(T, abs(1 - eta * h)), eta * given["xi"]
        expected = {
            "trajectory": np.log10(bounds.unroll(rho, fresh)),
            "law": np.log10(mean_square(rho**2, fresh**2)),
            "walk": np.log10(fresh * np.sqrt(np.arange(1, T + 1))),
            "published": [exact_published(eta, lipschitz, t) for t in range(1, T + 1)],
        }
        with np.errstate(divide="ignore"):
            ours = np.log10(
                bounds.published(np.full(T, lipschitz), given["error"], given["gradient"], eta)
            )
        assert np.allclose(np.minimum(ours, 300), np.minimum(expected["published"], 300), atol=1e-9)
        for name, values in expected.items():
            assert results[name] == pytest.approx(values[-1], abs=1e-6), (name, seen[-1])
            drawn = line(page, name)
            assert drawn[:, 0] == pytest.approx(np.arange(1, T + 1), abs=0.02 + T / 2e4)
            height = np.ptp(json.loads(page.find("svg")["data-axes"])["y"]) / 250  # of one pixel
            assert np.abs(drawn[:, 1] - values).max() < 0.05 * height, (name, seen[-1])
    assert seen[:-1] == [
        (0.05, 280.5, 0.12, 40), (0.01, 280.5, 0.12, 10),
        (0.01, 2.8, 1.2, 10), (0.5, 2.8, 1.2, 400),
    ]  # fmt: skip


def exact_published(eta, lipschitz, steps):
    """log10 of D g_max ((1 + eta lambda)^T - 1) / lambda, in decimal arithmetic, which does not
    overflow.
    """
    eta, lipschitz, error, gradient = map(
        Decimal, (eta, lipschitz, VALUES["bounds"]["error"], VALUES["bounds"]["gradient"])
    )
    return float((error * gradient * ((1 + eta * lipschitz) ** steps - 1) / lipschitz).log10())


@needs_browser
def test_the_axis_leaves_the_published_bound_out_until_it_is_asked_for(states):
    before, after = (
        json.loads(page.find("svg")["data-axes"])["y"][1] for _, page in states["bounds"][-2:]
    )
    end = states["bounds"][-1][0]["published"]
    assert before < end < after


@needs_browser
def test_a_step_is_a_triangle_and_two_opposite_draws_are_at_a_right_angle_on_average(states):
    for results, page in states["step"]:
        old, fresh, angle = (results[name] for name in ("old", "fresh", "angle"))
        u, e = (
            np.array([old, 0]),
            fresh * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]),
        )
        actual, opposite = np.linalg.norm(u + e), np.linalg.norm(u - e)
        expected = {
            "actual": actual,
            "opposite": opposite,
            "bound": old + fresh,
            "right": np.hypot(old, fresh),
        }
        assert {name: results[name] for name in expected} == pytest.approx(expected, abs=1e-7)
        assert results["rms"] == pytest.approx(np.hypot(old, fresh), abs=1e-9)
        assert line(page, "sum") == pytest.approx(np.stack([0 * u, u + e]), abs=0.01)
        bars = {"triangle inequality": "bound", "right angle": "right", "this draw": "actual"}
        for name, length in bars.items():
            assert line(page, name)[1, 0] == pytest.approx(results[length], abs=0.01)
    assert [(r["old"], r["fresh"], r["angle"]) for r, _ in states["step"]] == [
        (1, 0.6, 60), (1, 0.6, 0), (1, 1.5, 180), (1, 1.5, 90),
        (0.35, 1.5, 133), (0, 1.5, 133), (0, 1.5, 133),
    ]  # fmt: skip
    assert not states["step"][0][1].find("path", {"data-line": "mirrored"})
    assert states["step"][-1][1].find("path", {"data-line": "mirrored"})


@needs_browser
def test_twin_paths_follow_the_draws_and_their_mean_square_the_schemes_covariance(states):
    for results, page in states["walk"]:
        epochs, hold, rho = (results[name] for name in ("epochs", "hold", "rho"))
        x, drawn = (
            np.array(results["x"]),
            {name: np.array(row) for name, row in results["drawn"].items()},
        )
        K = len(x)
        assert x.mean(0) == pytest.approx([0, 0], abs=1e-12) and (x**2).sum(
            1
        ).mean() == pytest.approx(1)
        assert all(
            len(row) == epochs and row.min() >= 0 and row.max() < K for row in drawn.values()
        )
        assert (drawn["latin"] == (drawn["latin"][0] + np.arange(epochs)) % K).all()
        cycles = [drawn["balanced"][first : first + K] for first in range(0, epochs, K)]
        assert all(len(set(cycle)) == len(cycle) for cycle in cycles)
        assert (drawn["hold"] == drawn["hold"][np.arange(epochs) // hold * hold]).all()
        for name, row in drawn.items():
            error, lengths = np.zeros(2), [0.0]
            for language in row:
                error = rho * error + x[language]
                lengths.append(np.linalg.norm(error))
            assert results["ends"][name] == pytest.approx(lengths[-1], abs=1e-9)
            apart = line(page, f"{name} twin") - line(page, f"{name} ideal")
            assert np.linalg.norm(apart, axis=1) == pytest.approx(lengths, abs=0.03)
            options = {"hold": hold} if name == "hold" else {"m": 1} if name == "balanced" else {}
            scheme = SCHEMES[name](clips=1, languages=K, **options)
            e = np.arange(epochs)
            noise = np.einsum("efkl,kd,ld->ef", scheme.covariance(e[:, None], e[None, :]), x, x)
            rms = [
                np.sqrt(max(0, (rho ** (2 * (E - 1) - e[:E, None] - e[:E]) * noise[:E, :E]).sum()))
                for E in range(1, epochs + 1)
            ]
            assert results["rms"][name] == pytest.approx(rms[-1], abs=1e-6)
            assert line(page, name)[1:, 1] == pytest.approx(rms, abs=0.02)
        if rho == 1 and epochs % K == 0:
            for name in ("balanced", "latin"):
                assert results["ends"][name] < 1e-12 and results["rms"][name] < 1e-6
            assert results["rms"]["ml_clap"] == pytest.approx(np.sqrt(epochs))
    assert (
        states["walk"][3][0]["ends"]["latin"] > 0.1
    )  # 0.8 an epoch: no longer a cycle that closes


@needs_browser
def test_drawing_again_changes_the_draw_and_not_the_law(states):
    (before, _), (after, _) = states["walk"][-2:]
    assert before["drawn"] != after["drawn"]
    assert before["x"] == after["x"] and before["rms"] == after["rms"]


@needs_browser
def test_the_accumulated_error_and_the_line_in_it_are_those_of_the_library(states):
    schemes = {
        "balanced": SCHEMES["balanced"](clips=1, languages=8, m=1),
        "ML-CLAP": SCHEMES["ml_clap"](clips=1, languages=8),
        "hold 2": SCHEMES["hold"](clips=1, languages=8, hold=2),
        "hold 4": SCHEMES["hold"](clips=1, languages=8, hold=4),
        "hold 8": SCHEMES["hold"](clips=1, languages=8, hold=8),
        "hold all": SCHEMES["hold"](clips=1, languages=8, hold=16),
        "2 each, in pairs": Few(clips=1, languages=8, used=8, row=2),
        "4 of 4, in blocks": Few(clips=1, languages=8, used=4, row=4),
        "8 of 2, in blocks": Few(clips=1, languages=8, used=2, row=8),
    }
    table = pd.DataFrame.from_dict(MEASURED, orient="index", columns=list(PARTS))
    settings = []
    for results, page in states["law"]:
        E, b, rho, turns = (results[name] for name in ("E", "b", "rho", "turns"))
        settings.append((E, b, round(rho, 2), turns))
        path = [accumulated(b, turns, epochs, rho) for epochs in range(E + 1)]
        drawn = line(page, "accumulated")
        assert results["V"] == pytest.approx(path[-1], abs=1e-9)
        assert drawn[:, 0] == pytest.approx(np.arange(E + 1), abs=0.01)
        assert drawn[:, 1] == pytest.approx(path, abs=1e-4 * max(E, *path))

        found = dict(zip(MEASURED, results["V_measured"], strict=True))
        expected = {name: accumulated_error(schemes[name], 16, rho) for name in MEASURED}
        assert found == pytest.approx(expected, abs=1e-9)
        if rho == 1:
            plain = {name: accumulated_error(schemes[name], 16) for name in MEASURED}
            assert found == pytest.approx(plain, abs=1e-9)
        law = split_law.fit_line(table.assign(V=expected), "V")
        assert (results["alpha"], results["beta"]) == pytest.approx((law.intercept, law.slope))
        for x, own in line(page, "law"):
            assert own == pytest.approx(law(x), abs=1e-4)
        off = {name: abs(table.own[name] / law(expected[name]) - 1) for name in MEASURED}
        assert results["misses"] == pytest.approx(
            {
                "fitted": max(off[name] for name in split_law.FITTED),
                "others": max(off[name] for name in set(MEASURED) - set(split_law.FITTED)),
            }
        )

        said = page.select_one("[role=status]").text
        foretold = page.find("path", {"data-line": "predicted"})
        if E == 16:
            assert results["predicted"] == pytest.approx(law(path[-1]))
            assert foretold and f"Predicted own part {law(path[-1]):.3f}, measured" in said
        else:
            assert results["predicted"] is None and results["measured"] is None
            assert not foretold and f"no prediction for {E}" in said
        assert ("the plain law failed" in said) == (rho == 1)
    assert settings == [
        (16, 4, 1, False), (16, 1, 1, False), (32, 32, 1, False), (13, 8, 0.87, False),
        (16, 8, 0.5, False), (16, 2, 1, False), (16, 2, 1, True),
    ]  # fmt: skip
    measured = [results["measured"] for results, _ in states["law"]]
    assert measured == [0.233, 0.148, None, None, 0.326, 0.179, 0.148]


def accumulated(b, turns, epochs, memory):
    """V of eq-remembered, of eight languages that a clip keeps for b epochs each: in turn, or drawn
    independently.
    """
    name, options = ("balanced", {"m": 1}) if turns else ("ml_clap", {})
    scheme = SCHEMES[name](clips=1, languages=8, **options)
    e = np.arange(epochs)
    covariances = scheme.covariance(e[:, None] // b, e // b)
    traces = np.trace(covariances, axis1=-2, axis2=-1)
    return float((memory ** np.abs(e[:, None] - e) * traces).sum() / (1 - 1 / 8))


@needs_browser
def test_whole_blocks_accumulate_the_closed_forms(states):
    held, (in_turn, page) = states["law"][:3], states["law"][-1]
    for results, _ in held:
        b = min(results["b"], results["E"])
        assert results["V"] == pytest.approx(
            float(schedule.hold().subs({schedule.E: results["E"], schedule.b: b}))
        )
    assert in_turn["turns"] and in_turn["b"] == 2
    form = schedule.round_robin()
    for epochs, error in line(page, "accumulated")[::2]:
        shown = round(epochs / 2) % 8
        one = form.subs({schedule.r: shown, schedule.K: 8, schedule.m: 1})
        assert error == pytest.approx(4 * float(one), abs=0.01)  # b^2, for b epochs in a row


@needs_browser
def test_the_measured_parts_stand_where_they_were_measured(states):
    for _, page in states["law"]:
        figure = page.select(".explore-panels svg")[1]
        axes = json.loads(figure["data-axes"])
        (low, high), (bottom, top) = axes["y"], axes["up"]
        shown = [
            low + (float(dot["cy"]) - bottom) / (top - bottom) * (high - low)
            for dot in figure.select("circle.ink, circle.three, circle.grey")
        ]
        parts = [dot[part] for part in ("stable", "own") for dot in VALUES["law"]["dots"]]
        assert sorted(shown) == pytest.approx(sorted(parts), abs=1e-6)
        bars = [
            (dot["own"] + sign * 2 * dot["error"])
            for dot in VALUES["law"]["dots"]
            for sign in (-1, 1)
        ]
        ends = [
            low + (float(pixels.split(",")[1]) - bottom) / (top - bottom) * (high - low)
            for bar in figure.select("path[data-line=errors]")
            for pixels in bar["d"][1:].split("L")
        ]
        assert ends == pytest.approx(bars, abs=1e-4)


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_every_slider_is_named_reachable_and_says_its_value(document, states, name):
    group = document.select_one(f"[data-explorable={name}]")
    assert group["role"] == "group" and group["aria-label"] == f"What {name} shows"
    for _, page in states[name]:
        inputs = page.select("input[type=range]")
        assert len(inputs) >= 3 and page.select_one("[role=status]").text.strip()
        for control in inputs:
            assert page.select_one(f"label[for={control['id']}]").text.strip()
            assert (
                control["aria-valuetext"]
                == page.select_one(f"output[for={control['id']}]").text
                != ""
            )
            assert "tabindex" not in control.attrs and "disabled" not in control.attrs
        assert all(
            box.find_parent("label").text.strip() for box in page.select("input[type=checkbox]")
        )
    ids = [element["id"] for element in document.select("[id]")]
    assert len(ids) == len(set(ids))
    assert not [
        text
        for text in document.select("svg text")
        if re.search("NaN|undefined|Infinity", text.text)
    ]


@needs_browser
def test_without_its_script_an_explorable_stays_a_paragraph(tmp_path):
    page = shown(
        tmp_path, box("step", **VALUES["step"]) + box("walk", **VALUES["walk"]), named=["step"]
    )
    assert page.select_one("[data-explorable=step] svg") and not page.select_one(
        "[data-explorable=walk] svg"
    )
    assert page.select_one("[data-explorable=walk] p").text == "What walk shows"


@needs_browser
def test_a_walk_without_values_ends_and_stops_no_other(tmp_path):
    page = shown(tmp_path, box("walk") + box("step", **VALUES["step"]), named=["walk", "step"])
    assert page.select_one("[data-explorable=step] svg")
    assert not page.select_one("[data-explorable=walk] svg")


def test_scripts_fetch_nothing():
    for path in EXPLORE.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|fetch\(|import|XMLHttp|url\(['\"]?[a-z/]", text), path


@needs_browser
@pytest.mark.parametrize(
    "body, files",
    [
        ("<p>data-explorable in prose</p>", []),
        (
            box("walk", **VALUES["walk"]) + box("step", **VALUES["step"]),
            ["plot", "walk", "step"],
        ),
    ],
)
def test_only_pages_with_an_explorable_load_its_files(tmp_path, body, files):
    scripts = scripted(tmp_path, body).select("script[src*='explore/']")
    assert [pathlib.Path(one["src"]).stem for one in scripts] == files
    assert all((EXPLORE / f"{name}.js").is_file() for name in files)


def test_chapters_show_every_explorable_with_the_values_that_its_script_reads():
    called = {}
    for path in COMMITTED:
        for cell in chapters.read(path).cells:
            if cell.cell_type == "code" and "viz.explorable(" in cell.source:
                assert "nbval-ignore-output" in cell.metadata.tags
                calls = [
                    node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)
                ]
                (call,) = [node for node in calls if ast.unparse(node.func) == "viz.explorable"]
                called[call.args[0].value] = {keyword.arg for keyword in call.keywords}
    assert called == {name: set(VALUES[name]) for name in NAMES}


def test_the_box_holds_its_values_whatever_they_and_the_text_hold():
    values = {
        "array": np.arange(3) / 2,
        "number": np.float32(0.5),
        "text": "</div>'\"<script>&amp;",
    }
    shown = viz.explorable("step", "a < b & 'c'", **values).forms
    element = BeautifulSoup(shown["text/html"], "html.parser").select_one(
        "div.explorable[data-explorable=step]"
    )
    assert json.loads(element["data-values"]) == {
        "array": [0, 0.5, 1],
        "number": 0.5,
        "text": values["text"],
    }
    assert element.p.text == "a < b & 'c'" and "<script>" not in shown["text/html"]
    assert html.escape("a < b & 'c'") in shown["text/html"] and "a < b" in shown["text/plain"]
    with pytest.raises(ValueError, match="JSON"):
        viz.explorable("step", "x", old=float("nan"))
