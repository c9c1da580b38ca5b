"""The hub: folders first, then the cache; one copy of the weights; errors that say what to set."""

import pathlib

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from atri_lib.hub import (
    REVISIONS,
    CheckpointError,
    ModelUnavailable,
    load_exactly,
    model_path,
    read_state_dict,
)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> pathlib.Path:
    """An empty hub cache, offline."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("ATRI_HUB", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def snapshot(cache: pathlib.Path, owner: str, name: str) -> pathlib.Path:
    """The folder of a cached model, in the hub's layout."""
    base = cache / f"models--{owner}--{name}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text("0" * 40)
    folder = base / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    return folder


def test_a_path_that_exists_is_itself(tmp_path):
    assert model_path(tmp_path) == tmp_path and model_path(str(tmp_path)) == tmp_path


def test_a_cached_model_is_found_without_network(cache):
    folder = snapshot(cache, "owner", "model")
    save_file({"w": torch.ones(2)}, folder / "model.safetensors")
    assert model_path("owner/model") == folder
    assert read_state_dict("owner/model")["w"].tolist() == [1, 1]


def test_a_cached_model_without_weights_counts_as_missing(cache):
    (snapshot(cache, "owner", "model") / "config.json").write_text("{}")
    with pytest.raises(
        ModelUnavailable,
        match=r"owner/model: .*holds no weights.*ATRI_HUB=1.*hf download owner/model.*HF_HOME",
    ):
        model_path("owner/model")


@pytest.fixture
def asked(cache, monkeypatch) -> list:
    """The revisions that the hub is asked for, where it may be asked and holds one model."""
    monkeypatch.delenv("ATRI_OFFLINE", raising=False)
    revisions = []

    def download(name, revision, local_files_only, **options):
        folder = cache / "downloaded"
        if not local_files_only:
            revisions.append(revision)
            folder.mkdir(parents=True)
            save_file({"w": torch.ones(2)}, folder / "model.safetensors")
        elif not folder.exists():
            raise LocalEntryNotFoundError("not here")
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return revisions


COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ({}, f"owner/model@{COMMIT}"),
        ({"ATRI_HUB": "1"}, "owner/model"),
        ({"ATRI_HUB": "1"}, "owner/model@main"),
        ({"ATRI_HUB": "1", "ATRI_OFFLINE": "1"}, f"owner/model@{COMMIT}"),
        ({"ATRI_HUB": "0"}, "facebook/nllb-200-distilled-600M"),
    ],
)
def test_the_hub_is_asked_only_when_told_to_and_only_for_a_commit(
    asked, monkeypatch, settings, model
):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    message = "downloaded only with ATRI_HUB=1, without ATRI_OFFLINE .* at a commit.*--revision"
    with pytest.raises(ModelUnavailable, match=message):
        model_path(model)
    assert not asked


@pytest.mark.parametrize(
    ("model", "commit"),
    [(f"owner/model@{COMMIT}", COMMIT), ("facebook/nllb-200-distilled-600M", None)],
)
def test_a_download_is_of_the_commit_that_was_named_or_pinned(asked, monkeypatch, model, commit):
    monkeypatch.setenv("ATRI_HUB", "1")
    assert model_path(model).name == "downloaded"
    assert asked == [commit or REVISIONS[model]]
    assert model_path(model).name == "downloaded"
    assert len(asked) == 1  # then it is in the cache


@pytest.mark.parametrize(
    "name", ["missing.pt", "./owner/model", "a/b/c", "folder/model.safetensors"]
)
def test_what_looks_like_a_path_is_not_searched_on_the_hub(name, cache):
    with pytest.raises(ModelUnavailable, match=f"{name}: no such file or folder"):
        model_path(name)


def test_shards_are_joined_and_safetensors_win(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.zeros(1)}, tmp_path / "model-00002-of-00002.safetensors")
    torch.save({"c": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert sorted(read_state_dict(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("state", [{}, {"w": "text"}, {"model": {"w": [1.0]}}])
def test_a_file_without_tensors_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="model.pt: not a state dict"):
        read_state_dict(tmp_path / "model.pt")


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
def test_a_wrapped_state_dict_is_unwrapped(tmp_path, wrapper):
    torch.save({wrapper: {"w": torch.ones(1)}, "epoch": 3}, tmp_path / "model.pt")
    assert list(read_state_dict(tmp_path / "model.pt")) == ["w"]


def test_a_damaged_file_is_named(tmp_path):
    for name in ("model.safetensors", "model.pt"):
        (tmp_path / name).write_bytes(b"not tensors")
        with pytest.raises(CheckpointError, match=f"{name}: cannot be read"):
            read_state_dict(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no tensors.*pytorch_model"):
        read_state_dict(tmp_path / "empty")


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
def test_a_file_that_the_system_does_not_read_is_not_said_to_be_damaged(tmp_path, name):
    (tmp_path / name).symlink_to("/proc/self/mem")
    with pytest.raises(OSError):
        read_state_dict(tmp_path / name)


def test_loading_is_all_or_nothing():
    module = torch.nn.Linear(2, 1)
    before = module.weight.detach().clone()
    expected = r"m: missing: \['bias \[1\]', 'weight \[1, 2\]'\], unexpected: \['weight \[1, 3\]'\]"
    with pytest.raises(CheckpointError, match=expected):
        load_exactly(module, {"weight": torch.zeros(1, 3)}, "m")
    assert torch.equal(module.weight, before)
