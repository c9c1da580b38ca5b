"""Other recordings: the sounds of Scratch 1.4 (Debian package `scratch`, CC BY-SA 3.0), a folder as
a user would bring.

They share no recording with the book's. The names in eight languages are this project's own, not a
native speaker's.
"""

import json
import pathlib

from atri_lib.data.dataset import SPLITS
from atri_lib.data.items import Bank, BankUnavailable, Item
from atri_lib.data.manifest import write_manifest
from atri_lib.data.recorded import decoded
from atri_lib.data.scenes import make_scenes
from atri_lib.storage import cache_dir, checksum

# path below Media/Sounds -> code -> noun phrase
NAMES = pathlib.Path(__file__).with_name("scratch_names.json")
MEDIA = "usr/share/scratch/Media/Sounds"
LICENCE = "CC-BY-SA-3.0"


def scratch_sounds() -> Bank:
    """The sounds in NAMES, from Media/Sounds of the installed package, or unpacked into the cache's
    scratch.

    Raises BankUnavailable, which says how to get them, and UnreadableSound.
    """
    names = json.loads(NAMES.read_text(encoding="utf-8"))
    places = (pathlib.Path("/", MEDIA), cache_dir("scratch") / MEDIA)
    complete = [p for p in places if all((p / name).is_file() for name in names)]
    if not complete:
        raise BankUnavailable(
            "the sounds of Scratch 1.4 are not there: `apt-get download scratch`, "
            f"then `dpkg-deb -x scratch_*.deb {cache_dir('scratch')}` (26 MB), "
            "or install the package"
        )
    sounds = []
    for name, said in names.items():
        waveform = decoded(complete[0] / name)
        sounds.append(Item(name, waveform, said, f"Media/Sounds/{name}", LICENCE))
    return Bank("scratch", tuple(sounds))


def scratch_manifest(scenes: tuple[int, int, int] = (800, 100, 300), seed: int = 0) -> pathlib.Path:
    """The manifest of scenes of these sounds, written once to the cache with their audio. Raises
    BankUnavailable.
    """
    bank = scratch_sounds()
    folder = cache_dir("scratch") / f"scenes-{checksum(bank.checksum, list(scenes), seed)}"
    if not folder.is_dir():
        write_manifest(make_scenes(bank, dict(zip(SPLITS, scenes, strict=True)), seed), folder)
    return folder / "manifest.jsonl"
