"""The look of every figure, table and sound player in one place; it draws what it is given and
knows nothing else.
"""

import base64
import html
import io
import json
import os
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from PIL import Image

from atri_lib.schemes import SCHEMES
from book.sounds import mp3

SCHEME_NAMES = {name: scheme.label for name, scheme in SCHEMES.items()}
SCHEME_COLOURS = {name: scheme.colour for name, scheme in SCHEMES.items()}
MARKERS = {name: scheme.marker for name, scheme in SCHEMES.items()}
PAGE = "text/html"
PLOTLY = "application/vnd.plotly.v1+json"
RATE = 16_000  # samples of a sound in a second
LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)  # of compression, the best first
LIMIT = 30_000  # bytes of a sound in a page


def theme() -> None:
    """Set the book's style: white grid on an opaque light ground (legible on dark pages), Okabe-Ito
    colours.
    """
    sns.set_theme(context="notebook", style="whitegrid", palette=list(SCHEME_COLOURS.values()))
    plt.rcParams.update(
        {
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.figsize": (7.2, 4.0),
            "figure.dpi": 100,
            "savefig.dpi": 100,
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
            "svg.hashsalt": "atri",
            "mathtext.fontset": "cm",
        }
    )


class Shown:
    """What a notebook shows, in its forms: kind (MIME type) -> content."""

    def __init__(self, text: str, forms: dict) -> None:
        self.forms = {"text/plain": text} | forms

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return self.forms


def is_built() -> bool:
    """Whether sounds and pictures are embedded: only where ATRI_PLAYERS=1, as `make book` sets, so
    that notebooks stay small and free of recordings.
    """
    return os.environ.get("ATRI_PLAYERS") == "1"


def embedded(kind: str, content: bytes) -> str:
    """A file's content as the attribute src of an element."""
    return f'src="data:{kind};base64,{base64.b64encode(content).decode()}"'


def small_sound(waveform: np.ndarray) -> bytes:
    """MP3 of a waveform [samples] at the best quality that stays within 30 kB. Raises ValueError
    for one that is empty or too long for that.
    """
    if not len(waveform):
        raise ValueError("the sound is empty")
    for level in LEVELS:
        content = mp3(waveform, RATE, level)
        if len(content) <= LIMIT:
            return content
    raise ValueError(f"a player holds {LIMIT:,} bytes at most: play a shorter sound")


def players(sounds: Sequence[tuple[str, np.ndarray]]) -> Shown:
    """Sounds at 16 kHz, (label, waveform) each, that a reader can play below each other.

    Each has 30 kB at most. Where they are not embedded, a line of text stands in their place.
    """
    rows = []
    lines = []
    for label, waveform in sounds:
        length = f"{len(waveform) / RATE:.1f} s"
        said = html.escape(label)
        lines.append(f"[sound of {length}] {label}")
        sound = f"<em>sound of {length}: run <code>make book</code> to hear it</em>"
        if is_built():
            about = f'aria-label="{said or "sound"}, {length}"'
            source = embedded("audio/mpeg", small_sound(waveform))
            sound = f'<audio controls preload="none" {about} {source}></audio>'
            said += f" <small>{length}</small>"
        rows.append(f'<div class="atri-player">{sound} <span>{said}</span></div>')
    return Shown("\n".join(lines), {PAGE: "\n".join(rows)})


def pictures(pictures: Sequence[tuple[str, np.ndarray]], side: int = 128) -> Shown:
    """Pictures, (label, uint8 [height, width, 3]) each, small and side by side.

    Where they are not embedded, a line of text stands in their place.
    """
    text = "\n".join(f"[picture] {label}" for label, _ in pictures)
    if not is_built():
        hint = f"{len(pictures)} pictures: run <code>make book</code> to see them"
        return Shown(text, {PAGE: f"<p><em>{hint}</em></p>"})
    images = []
    for label, pixels in pictures:
        stream = io.BytesIO()
        Image.fromarray(pixels).resize((side, side)).save(stream, "JPEG", quality=80)
        said, source = html.escape(label), embedded("image/jpeg", stream.getvalue())
        image = f'<img {source} alt="{said}" width="{side}" height="{side}">'
        style = f"display:inline-block;width:{side}px;margin:4px;vertical-align:top"
        images.append(f'<span style="{style}">{image}<small>{said}</small></span>')
    return Shown(text, {PAGE: "".join(images)})


def interactive(figure, alt: str) -> Shown:
    """A plotly figure of bars that probes in JupyterLab and in the built page, without a network;
    alt: what it shows.
    """
    figure.update_layout(
        template="plotly_white", margin={"l": 60, "r": 20, "t": 40, "b": 50}, height=420
    )
    return Shown(f"[interactive figure] {alt}", {PLOTLY: json.loads(figure.to_json())})


def explorable(name: str, alt: str, **values) -> Shown:
    """What book/_static/explore/NAME.js draws from `values` (numbers, arrays, lists, dictionaries),
    to move and watch.

    alt: what it shows, for readers without the script or without sight: it stands in the box until
    the script fills it. Raises ValueError for a value that is not finite, TypeError or ValueError
    for one that JSON cannot hold.
    """
    packed = json.dumps(values, default=lambda array: np.asarray(array).tolist(), allow_nan=False)
    data = f"data-explorable=\"{html.escape(name)}\" data-values='{html.escape(packed)}'"
    box = f'<div class="explorable" {data}><p>{html.escape(alt)}</p></div>'
    return Shown(f"[explorable {name}] {alt}", {PAGE: box})
