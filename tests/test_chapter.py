"""Every chapter checks its four parameters in its first cell and answers in one line with the choices."""

import json

import chapters
import pytest
from small_chapters import COMMITTED

from atri_lib.chapter import LARGEST_SEED, Parameters, check_parameters

WRONG = {
    "profile": ("nonsense", "profile='nonsense': use one of book, smoke, paper"),
    "preset": ("nano", "preset='nano': use one of mini, paper"),
    "seed": ("abc", "seed='abc': use a whole number from 0 to 2147483647"),
    "data": ("/no/such.jsonl", "data='/no/such.jsonl': use None, or the path of a manifest that exists"),
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


def test_good_parameters_come_back_with_the_seed_as_a_number(tmp_path):
    assert check_parameters("smoke", "3") == Parameters("smoke", 3, "mini", None)
    assert check_parameters("book", LARGEST_SEED, "paper").seed == LARGEST_SEED
    (tmp_path / "manifest.jsonl").write_text(json.dumps({}))
    for data in (tmp_path, tmp_path / "manifest.jsonl"):
        assert check_parameters("book", 0, "mini", data).data == str(data)


@pytest.mark.parametrize("seed", [-1, True, 1.0, None, "", "-1", "1e3", "٣", LARGEST_SEED + 1, 2**45, "9" * 5000])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="use a whole number from 0 to 2147483647"):
        check_parameters("book", seed)


@pytest.mark.parametrize("arguments", [([], 0), ("book", 0, []), ("book", 0, "mini", 5), ("book", 0, "mini", "a\0b")])
def test_other_types_are_refused_as_values_are(arguments):
    with pytest.raises(ValueError, match="use "):
        check_parameters(*arguments)
