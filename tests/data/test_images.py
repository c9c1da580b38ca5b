"""Image files as pixels, and a manifest of pictures through every command."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from atri_lib.__main__ import main
from atri_lib.data.images import read_image
from atri_lib.data.pictures import drawn
from atri_lib.encoders import EfficientNetLite0, presets
from atri_lib.training import Run

RED, BLUE, WHITE, GREY = (255, 0, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)


def halves(left, right, mode="RGB"):
    """40 x 20 pixels of two colours."""
    image = Image.new("RGB", (40, 20), left)
    image.paste(right, (20, 0, 40, 20))
    return image.convert(mode)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def seen(folder, name, image, **options):
    """The colours at the left, right, top, bottom and in the middle of what is read."""
    image.save(folder / name, **options)
    pixels = read_image(folder / name)
    assert pixels.shape == (224, 224, 3) and pixels.dtype == np.uint8
    places = {"left": (112, 9), "right": (112, 215), "top": (9, 112), "bottom": (215, 112)}
    return {place: pixels[at].tolist() for place, at in places.items()}


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp"])
def test_every_format_is_fitted_in_without_distortion_on_white(tmp_path, name):
    found = seen(tmp_path, name, halves(RED, BLUE))
    expected = {"left": RED, "right": BLUE, "top": WHITE, "bottom": WHITE}
    for place, colour in expected.items():
        np.testing.assert_allclose(found[place], colour, atol=4)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize(("orientation", "top"), [(6, RED), (8, BLUE)])
def test_a_picture_is_turned_as_its_exif_says(tmp_path, name, orientation, top):
    found = seen(tmp_path, name, halves(RED, BLUE), exif=turned(orientation))
    np.testing.assert_allclose(found["top"], top, atol=4)
    assert found["left"] == found["right"] == list(WHITE)


@pytest.mark.parametrize(
    ("name", "image", "left", "right"),
    [
        ("palette.png", halves(RED, BLUE, "P"), RED, BLUE),
        ("grey.png", halves(GREY, WHITE, "L"), GREY, WHITE),
        ("bits.png", halves((0, 0, 0), WHITE, "1"), (0, 0, 0), WHITE),
        ("print.jpg", halves(RED, BLUE, "CMYK"), RED, BLUE),
        ("video.jpg", halves(RED, BLUE, "YCbCr"), RED, BLUE),
    ],
)
def test_every_kind_of_colour_becomes_rgb(tmp_path, name, image, left, right):
    found = seen(tmp_path, name, image)
    np.testing.assert_allclose(found["left"], left, atol=4)
    np.testing.assert_allclose(found["right"], right, atol=4)


def test_of_sixteen_bits_the_upper_eight_are_kept(tmp_path):
    values = np.full((20, 40), 0x8042, np.uint16)
    assert seen(tmp_path, "a.png", Image.fromarray(values))["left"] == [0x80] * 3


def test_what_is_transparent_is_white(tmp_path):
    clear = halves(RED, BLUE, "RGBA")
    clear.putalpha(Image.fromarray(np.repeat(np.array([[0, 128]], np.uint8), 20, 1).repeat(20, 0)))
    for name in ("a.png", "a.webp"):
        found = seen(tmp_path, name, clear, lossless=True)
        assert found["left"] == list(WHITE)
        np.testing.assert_allclose(found["right"], (127, 127, 255), atol=1)
    keyed = seen(tmp_path, "key.png", halves(RED, BLUE), transparency=RED)
    assert (keyed["left"], keyed["right"]) == (list(WHITE), list(BLUE))
    palette = halves(RED, BLUE).quantize(2)
    index = palette.getpixel((0, 0))
    found = seen(tmp_path, "palette.gif", palette, transparency=index)
    assert (found["left"], found["right"]) == (list(WHITE), list(BLUE))


def test_a_large_photograph_and_a_thin_line_are_read(tmp_path):
    found = seen(tmp_path, "large.jpg", halves(RED, BLUE).resize((3000, 1500)), quality=95)
    np.testing.assert_allclose(found["left"], RED, atol=4)
    Image.new("L", (9000, 8)).save(tmp_path / "line.png")
    rows = (read_image(tmp_path / "line.png") < 128).any((1, 2))
    assert rows.sum() == 1


class Eye(torch.nn.Module):
    """The mean colour of the left, the middle and the right of a picture."""

    name, dim, fingerprint = "eye", 3, "eye-1"
    probes = staticmethod(EfficientNetLite0.probes)

    def forward(self, pictures):
        return torch.stack([part.float().mean((1, 2)) for part in pictures.chunk(3, dim=2)], 1)


class Reader(torch.nn.Module):
    name, dim, fingerprint = "reader", 26, "reader-1"

    def embed(self, sentences, language="eng"):
        letters = "abcdefghijklmnopqrstuvwxyz"
        return torch.tensor([[s.count(letter) for letter in letters] for s in sentences]).float()


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A folder of drawn shapes with a manifest, toys in place of the pretrained encoders."""
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(presets.CLIP_ENCODERS, "efficientnet-lite0", Eye)
    monkeypatch.setitem(presets.TEXT_ENCODERS, "use", Reader)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shapes"
    folder.mkdir()
    lines = []
    for i, shape in enumerate(drawn().items[:18]):
        Image.fromarray(shape.content).save(folder / f"{i}.png")
        split = ("train", "train", "train", "train", "val", "test")[i % 6]
        captions = dict(shape.names)
        lines.append({"image": f"{i}.png", "split": split, "captions": captions})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_pictures_go_through_every_command(shapes, capsys):
    def told(*command):
        code = main([*map(str, command), "--json"])
        said, complaints = capsys.readouterr()
        assert code == 0, complaints
        return json.loads(said)

    small = ("--epochs", 1, "--batch-size", 6, "--width", 4, "--hidden", 4)
    features = told("features", "--data", "shapes")
    assert features["clips"]["train"] == 12
    trained = told("train", "--data", "shapes", "--folder", "runs", *small)
    run = trained["run"]
    assert Run.load(run).config.clip_encoder == "efficientnet-lite0"
    assert "loaded" in told("train", "--data", "shapes", "--folder", "runs", *small)["what"]
    assert told("train", "--resume", run)["run"].endswith(run)
    scored = told("evaluate", run, "--data", "shapes")
    assert scored["test"] == told("evaluate", run)["test"]
    (shapes / "a drawing.svg").write_text("<svg>")
    code = main(
        ["search", "red", "--run", run, "--folder", "shapes", "--index", "index", "-k", "18"]
    )
    said, complaints = capsys.readouterr()
    assert code == 3 and "a drawing.svg: cannot be read as an image" in complaints
    query, *lines = said.splitlines()
    assert query == "red:"
    assert {line.split()[0] for line in lines} == {f"{i}.png" for i in range(18)}
    found = told("search", "--run", run, "--index", "index", "--audio", "shapes/3.png", "-k", 1)
    assert found["results"] == [{"name": "3.png", "similarity": 1.0}]
    code = main(["search", "red", "--run", run, "--folder", "runs"])
    assert code == 1 and "runs: holds no files to search (.png, " in capsys.readouterr().err
