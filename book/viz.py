"""The look of every figure, table and sound player in one place; it draws what it is given and
knows nothing else.
"""

import base64
import hashlib
import html
import io
import json
import os
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from PIL import Image

from atri_lib.schemes import SCHEMES
from book.sounds import encoded

SCHEME_COLOURS = {name: scheme.colour for name, scheme in SCHEMES.items()}
SCHEME_NAMES = {name: scheme.label for name, scheme in SCHEMES.items()}
MARKERS = {name: scheme.marker for name, scheme in SCHEMES.items()}
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["sendDataToCloud"],  # no button that uploads a figure
}
RATE = 16_000  # samples of a sound in a second
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


def curves(table: pd.DataFrame, x: str, y: str, *, label: str, ax: plt.Axes) -> None:
    """Mean over repeated rows (seeds) of y against x, one line a scheme, with the range over seeds
    as a band.
    """
    for name, rows in table.groupby("scheme", sort=False):
        stats = rows.groupby(x)[y].agg(["mean", "min", "max"])
        style = {
            "color": SCHEME_COLOURS.get(name),
            "marker": MARKERS.get(name, "o"),
            "markersize": 4,
        }
        (line,) = ax.plot(
            stats.index, stats["mean"], label=SCHEME_NAMES.get(name, str(name)), **style
        )
        ax.fill_between(
            stats.index, stats["min"], stats["max"], color=line.get_color(), alpha=0.2, linewidth=0
        )
    ax.set(xlabel=x, ylabel=label)
    ax.legend()


def encode_ogg(waveform: np.ndarray) -> bytes:
    """Ogg Vorbis bytes of a 16 kHz mono waveform [samples] at the best quality that stays within 30
    kB.

    A sound too long for that is halved in sample rate once. Raises ValueError for an empty waveform
    or one that does not fit even then.
    """
    from scipy.signal import resample_poly

    if waveform.size == 0:
        raise ValueError("cannot play an empty waveform")
    for divisor in (1, 2):
        sound = resample_poly(waveform, 1, divisor)
        for level in (0.5, 0.7, 0.85, 1.0):
            content = encoded(sound, RATE // divisor, "OGG", level)
            if len(content) <= LIMIT:
                return content
    raise ValueError(
        f"{len(waveform) / RATE:.1f} s of sound do not fit {LIMIT} bytes: play a shorter clip"
    )


class Player:
    """Sounds at 16 kHz, (label, waveform) each, that a reader can play below each other in a
    notebook.

    The audio, mono OGG of at most 30 kB, is embedded only where ATRI_PLAYERS=1 (as `make book`
    sets) so that notebooks stay small and free of recordings; elsewhere a line of text stands in
    its place.
    """

    def __init__(self, sounds: Sequence[tuple[str, np.ndarray]]) -> None:
        self.sounds = sounds

    def _repr_html_(self) -> str:
        rows = []
        for label, waveform in self.sounds:
            length = f"{len(waveform) / RATE:.1f} s"
            said = html.escape(label)
            if os.environ.get("ATRI_PLAYERS") == "1":
                data = base64.b64encode(encode_ogg(waveform)).decode()
                about = (
                    f'aria-label="{said or "sound"}, {length}" src="data:audio/ogg;base64,{data}"'
                )
                sound = f'<audio controls preload="none" {about}></audio>'
                said += f" <small>{length}</small>"
            else:
                sound = f"<em>sound of {length}: run <code>make book</code> to hear it</em>"
            rows.append(f'<div class="atri-player">{sound} <span>{said}</span></div>')
        return "\n".join(rows)

    def __repr__(self) -> str:
        return "\n".join(
            f"[sound of {len(wave) / RATE:.1f} s] {label}" for label, wave in self.sounds
        )


players = Player


def player(waveform: np.ndarray, label: str = "") -> Player:
    """One sound that a reader can play."""
    return Player([(label, waveform)])


class Pictures:
    """Pictures, (label, uint8 [height, width, 3]) each, small and side by side.

    They are embedded only where ATRI_PLAYERS=1, as sounds are; elsewhere a line of text stands in
    their place.
    """

    def __init__(self, pictures: Sequence[tuple[str, np.ndarray]], side: int = 128) -> None:
        self.pictures, self.side = pictures, side

    def _repr_html_(self) -> str:
        if os.environ.get("ATRI_PLAYERS") != "1":
            count = len(self.pictures)
            return f"<p><em>{count} pictures: run <code>make book</code> to see them</em></p>"
        shown = []
        for label, pixels in self.pictures:
            stream = io.BytesIO()
            Image.fromarray(pixels).resize((self.side, self.side)).save(stream, "JPEG", quality=80)
            data = base64.b64encode(stream.getvalue()).decode()
            said = html.escape(label)
            source = f'src="data:image/jpeg;base64,{data}"'
            image = f'<img {source} alt="{said}" width="{self.side}" height="{self.side}">'
            style = f"display:inline-block;width:{self.side}px;margin:4px;vertical-align:top"
            shown.append(f'<span style="{style}">{image}<small>{said}</small></span>')
        return "".join(shown)

    def __repr__(self) -> str:
        return "\n".join(f"[picture] {label}" for label, _ in self.pictures)


pictures = Pictures


class Interactive:
    """A plotly figure that probes in JupyterLab and in the built page, without a network; alt: what
    it shows.
    """

    def __init__(self, figure, alt: str) -> None:
        figure.update_layout(
            template="plotly_white", margin={"l": 60, "r": 20, "t": 40, "b": 50}, height=420
        )
        self.figure, self.alt = figure, alt

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        figure = self.figure.to_json()
        name = f"plotly-{hashlib.sha256(figure.encode()).hexdigest()[:12]}"  # the same in every run
        page = self.figure.to_html(
            full_html=False, include_plotlyjs=False, div_id=name, config=CONFIG
        )
        return {"text/html": f'<div role="img" aria-label="{html.escape(self.alt)}">{page}</div>',
                "application/vnd.plotly.v1+json": json.loads(figure),
                "text/plain": f"[interactive figure] {self.alt}"}  # fmt: skip


interactive = Interactive


class Explorable:
    """What book/_static/explore/NAME.js draws from `values` (numbers, arrays, lists, dictionaries),
    to move and watch.

    alt: what it shows, for readers without the script or without sight: it stands in the box until
    the script fills it. Raises ValueError for a value that is not finite, TypeError or ValueError
    for one that JSON cannot hold.
    """

    def __init__(self, name: str, alt: str, **values) -> None:
        self.name, self.alt = name, alt
        self.values = json.dumps(
            values, default=lambda array: np.asarray(array).tolist(), allow_nan=False
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        name, alt, values = map(html.escape, (self.name, self.alt, self.values))
        data = f"data-explorable=\"{name}\" data-values='{values}'"
        box = f'<div class="explorable" {data}><p>{alt}</p></div>'
        return {"text/html": box, "text/plain": f"[explorable {self.name}] {self.alt}"}


explorable = Explorable
