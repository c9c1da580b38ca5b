"""Every chapter checks its four parameters in its first cell and answers in one line with the
choices.
"""

import ast
import json
import types
import warnings

import chapters
import IPython
import numpy as np
import papermill
import pytest
from small_chapters import COMMITTED

from book.chapter_parameters import LARGEST_SEED, Parameters, check_parameters

WRONG = {
    "profile": ("nonsense", "profile='nonsense': use one of book, smoke, paper"),
    "preset": ("nano", "preset='nano': use one of mini, paper"),
    "seed": ("abc", "seed='abc': use a whole number from 0 to 2147483647"),
    "data": (
        "/no/such.jsonl",
        "data='/no/such.jsonl': use None, or the path of a manifest that exists",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem[:2])
def test_the_first_cell_of_every_chapter_refuses_a_wrong_parameter(path, name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # as chapter 13 sets it
    code = [cell.source for cell in chapters.read(path).cells if cell.cell_type == "code"]
    value, message = WRONG[name]
    variables = {}
    exec(code[0], variables)
    assert name in variables
    variables[name] = value
    with pytest.raises(ValueError) as refused:
        exec(code[1], variables)
    assert str(refused.value) == message


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem[:2])
def test_papermill_knows_type_and_meaning_of_every_parameter(path):
    found = papermill.inspect_notebook(path)
    assert list(found) == list(Parameters._fields)
    types_of = {name: about["inferred_type_name"] for name, about in found.items()}
    assert types_of == {"profile": "str", "seed": "int", "preset": "str", "data": "Optional[str]"}
    assert all(about["help"] for about in found.values())


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem[:2])
def test_a_chapter_says_which_parameters_it_does_not_use(path):
    code = [cell.source for cell in chapters.read(path).cells if cell.cell_type == "code"]
    silent = {
        name
        for name, about in papermill.inspect_notebook(path).items()
        if "not used" in about["help"]
    }
    assert silent == set(Parameters._fields) - read_after_the_check(code[1:])
    checks = [node for node in ast.walk(ast.parse(code[1])) if getattr(node, "func", None)]
    check = next(call for call in checks if ast.unparse(call.func) == "check_parameters")
    declared = [
        ast.literal_eval(keyword.value) for keyword in check.keywords if keyword.arg == "unused"
    ]
    assert set(*declared) == silent


def read_after_the_check(cells):
    """Names of parameters that the code reads, other than to check them."""
    read = set()
    for source in cells:
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign) and "check_parameters(" in ast.unparse(statement):
                continue
            names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
            read |= {name.id for name in names if isinstance(name.ctx, ast.Load)}
    return read & set(Parameters._fields)


def test_a_parameter_that_changes_nothing_is_said_and_a_default_is_not(capsys):
    check_parameters("book", 0, "mini", None, unused=("profile", "preset", "data"))
    assert capsys.readouterr().out == ""
    check_parameters("smoke", 1, "paper", None, unused=("preset",))
    assert (
        capsys.readouterr().out
        == "preset='paper': this chapter does not use preset, so it changes nothing here\n"
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "# Parameters\nseed = 1\nprofil = 'smoke'\n",
            "profil: not a parameter of this chapter: use profile, seed, preset, data",
        ),
        (
            "# Parameters\nk = 3\n",
            "k: not a parameter of this chapter: use profile, seed, preset, data",
        ),
    ],
)
def test_a_name_that_papermill_was_given_and_that_is_no_parameter_stops(cell, message, monkeypatch):
    shell = types.SimpleNamespace(user_ns={"In": ["", "profile: str = 'book'", cell]})
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_parameters("book", 0)
    shell.user_ns["In"] = ["k = 3", "# Parameters\nprofile = 'smoke'\ndata = None\n"]
    assert check_parameters("smoke", 0).profile == "smoke"


def test_good_parameters_come_back(tmp_path):
    assert check_parameters("smoke", 3) == Parameters("smoke", 3, "mini", None)
    assert check_parameters("book", LARGEST_SEED, "paper").seed == LARGEST_SEED
    (tmp_path / "manifest.jsonl").write_text(json.dumps({}))
    for data in (tmp_path, tmp_path / "manifest.jsonl"):
        assert check_parameters("book", 0, "mini", data).data == str(data)


@pytest.mark.parametrize("seed", [-1, True, 1.0, None, "", "-1", "3", LARGEST_SEED + 1, 2**45])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="use a whole number from 0 to 2147483647"):
        check_parameters("book", seed)


@pytest.mark.parametrize(
    "arguments", [([], 0), ("book", 0, []), ("book", 0, "mini", 5), ("book", 0, "mini", "a\0b")]
)
def test_other_types_are_refused_as_values_are(arguments):
    with pytest.raises(ValueError, match="use "):
        check_parameters(*arguments)


@pytest.mark.parametrize(
    ("clips", "said"), [(9, "9 test clips are too few"), (10, "10 test"), (11, "is chance: True")]
)
def test_chapter_3_gives_no_verdict_on_ten_places_among_ten_clips(clips, said, capsys):
    path = next(path for path in COMMITTED if path.stem.startswith("03"))
    source = next(
        cell.source for cell in chapters.read(path).cells if "five untrained starts" in cell.source
    )
    recall = np.full(5, min(1000 / clips, 100.0))
    measured = {"mean rank variance": np.ones(5)}
    known = {
        "N": clips,
        "np": np,
        "r10": recall,
        "measured": measured,
        "chance": {"mean rank variance": 2.0},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(source, known)
    assert said in capsys.readouterr().out
