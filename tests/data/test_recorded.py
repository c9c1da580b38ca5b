"""RecordedBank on small invented stamps: names, what is left out, bad files, whether they are the
book's.
"""

import io
import json
import pathlib
import re

import numpy as np
import pytest
import soundfile

from atri_lib.audio import SAMPLE_RATE, UnreadableSound
from atri_lib.data import debian, recorded
from atri_lib.data.debian import package
from atri_lib.data.items import BankUnavailable
from atri_lib.data.recorded import decode, noun_phrase, recorded_sounds
from atri_lib.languages import CODES

FROG = """A frog.
de.utf8=Ein Frosch.
fr.utf8=Une grenouille.
es.utf8=Una rana.
nl.utf8=Een kikker (groen).
ca.utf8=Una granota.
ja.utf8=みどりの カエル
zh_CN.utf8=一只青蛙。
zh_TW.utf8=青蛙
"""


@pytest.fixture(autouse=True)
def corrections(tmp_path, monkeypatch):
    """A cache of its own, and what writes corrections; there are none at first."""
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "ROOT", tmp_path / "not installed")
    path = tmp_path / "names.json"
    monkeypatch.setattr(recorded, "CORRECTIONS", path)

    def write(**of_stamps):
        path.write_text(json.dumps(of_stamps))

    write()
    return write


def ogg(frequency: float, rate: int = 22_050, channels: int = 1, seconds: float = 0.5) -> bytes:
    tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)
    buffer = io.BytesIO()
    soundfile.write(
        buffer, np.stack([tone] * channels, axis=1), rate, format="OGG", subtype="VORBIS"
    )
    return buffer.getvalue()


def captions(name: str) -> str:
    return re.sub("frog|Frosch|grenouille|rana|kikker|granota|カエル|青蛙", name, FROG)


@pytest.fixture
def stamps():
    """A folder in the cache."""
    folder = package("stamps").places[1]
    files = {
        "animals/frog.ogg": ogg(500),
        "animals/frog.txt": FROG.encode(),
        "animals/frog_desc.ogg": ogg(100),
        "animals/frog_desc_de.ogg": ogg(100),
        "animals/newt.ogg": ogg(900, rate=11_127, channels=2),
        "animals/newt.txt": captions("newt").encode(),
        "animals/._frog.ogg": b"what macOS leaves beside a file",
        "symbols/math/7.ogg": ogg(100),
        "seasonal/dreydl-nun.ogg": ogg(100),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def ids(bank) -> list[str]:
    return [sound.id for sound in bank.items]


@pytest.mark.parametrize(
    ("code", "caption", "name"),
    [
        ("eng", "A  frog .", "a frog"),
        ("fra", "Un bébé mouton (un agneau).", "un bébé mouton"),
        ("deu", "Ein bunter Hahn.", "ein bunter Hahn"),
        ("deu", "Großes Feuerwerk!", "Großes Feuerwerk"),
        ("deu", "Einsiedlerkrebs.", "Einsiedlerkrebs"),
        ("nld", "Een woerd (mannetjeseend).", "een woerd"),
        ("cat", "Un goril·la.", "un goril·la"),
        ("jpn", "ドラム　セット", "ドラムセット"),
        ("jpn", "カザリキヌバネドリ（ケツァール）", "カザリキヌバネドリ"),
        ("zho", "乌鸦！", "乌鸦"),
        ("zho", "一只企鹅。", "企鹅"),
        ("zho", "一杯水。", "一杯水"),
        ("eng", " . ", ""),
    ],
)
def test_a_caption_becomes_a_noun_phrase(code, caption, name):
    assert noun_phrase(caption, code) == name


def test_effects_with_eight_captions_become_sounds_and_nothing_else_does(stamps):
    bank = recorded_sounds()
    assert ids(bank) == ["frog", "newt"] and not bank.left_out
    frog = bank.items[0]
    assert list(frog.names) == list(CODES)
    assert " ".join(frog.names.values()) == (
        "a frog une grenouille ein Frosch una rana een kikker una granota みどりのカエル 青蛙"
    )
    assert frog.source == "animals/frog.ogg" and frog.licence.startswith("GPL-2")


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (11_127, 2), (22_254, 1), (44_100, 2)])
def test_a_tone_keeps_its_pitch_and_length_at_any_rate(tmp_path, rate, channels):
    (tmp_path / "tone.ogg").write_bytes(ogg(440, rate, channels, seconds=1.0))
    wave = decode(tmp_path / "tone.ogg")
    assert wave.dtype == np.float32 and abs(len(wave) / SAMPLE_RATE - 1) < 0.05
    spectrum = np.abs(np.fft.rfft(wave, 4 * SAMPLE_RATE))
    assert spectrum.argmax() / 4 == pytest.approx(440, abs=2)


def test_sounds_without_pictures_are_taken_and_pictures_without_sounds_are_none(
    stamps, monkeypatch
):
    monkeypatch.setenv("ATRI_OFFLINE", "1")
    assert recorded_sounds().items
    for name in ("frog.ogg", "newt.ogg"):
        (stamps / "animals" / name).unlink()
    with pytest.raises(BankUnavailable, match="stamps holds none with captions.*apt-get install"):
        recorded_sounds()
    for sound in stamps.rglob("*.ogg"):
        sound.unlink()
    with pytest.raises(BankUnavailable, match="ATRI_OFFLINE forbids"):
        recorded_sounds()


def test_a_sound_without_a_caption_in_one_language_is_left_out_and_listed(stamps, corrections):
    text = stamps / "animals/newt.txt"
    text.write_text(
        "\n".join(line for line in text.read_text().splitlines() if not line.startswith("nl"))
    )
    bank = recorded_sounds()
    assert ids(bank) == ["frog"] and bank.left_out == {"newt": "no caption in nld"}
    corrections(newt={"why": "no Dutch caption", "nld": "een salamander"})
    assert recorded_sounds().items[1].names["nld"] == "een salamander"


def test_a_sound_without_a_caption_file_can_be_named_by_the_corrections(stamps, corrections):
    (stamps / "animals/newt.txt").unlink()
    assert recorded_sounds().left_out == {"newt": f"no caption in {', '.join(CODES)}"}
    names = {code: f"newt in {code}" for code in CODES}
    corrections(newt={"why": "", **names})
    assert recorded_sounds().items[1].names == names


def test_a_name_that_is_taken_in_one_language_leaves_the_second_sound_out(stamps, corrections):
    corrections(newt={"why": "", "spa": "Una rana"})
    bank = recorded_sounds()
    assert ids(bank) == ["frog"] and "una rana" in bank.left_out["newt"]


def test_silent_and_dropped_sounds_are_left_out_with_the_reason(stamps, corrections):
    (stamps / "animals/newt.ogg").write_bytes(ogg(0))
    assert recorded_sounds().left_out == {"newt": "silent"}
    corrections(newt={"why": "not a newt", "drop": True})
    assert recorded_sounds().left_out == {"newt": "not a newt"}


@pytest.mark.parametrize(
    "content", [b"", b"not audio", ogg(300)[:40]], ids=["empty", "text", "cut"]
)
def test_a_bad_file_is_named(stamps, content):
    (stamps / "animals/newt.ogg").write_bytes(content)
    with pytest.raises(UnreadableSound, match=r"newt\.ogg"):
        recorded_sounds()


def test_a_second_load_decodes_nothing_and_equals_the_first(stamps, monkeypatch):
    first = recorded_sounds()
    with monkeypatch.context() as patch:
        patch.setattr(recorded, "decode", None)
        again = recorded_sounds()
    assert first.checksum == again.checksum
    assert all(
        a.content.tobytes() == b.content.tobytes()
        for a, b in zip(first.items, again.items, strict=True)
    )
    (stamps / "animals/frog.ogg").write_bytes(ogg(600))
    assert recorded_sounds().checksum != first.checksum


def test_altered_samples_in_the_cache_are_decoded_again(stamps, tmp_path):
    first = recorded_sounds()
    for cached in (tmp_path / "cache/tuxpaint/sounds").glob("*/values.npy"):
        content = cached.read_bytes()
        middle = len(content) // 2
        altered = bytes([content[middle] ^ 1])
        cached.write_bytes(content[:middle] + altered + content[middle + 1 :])
    assert recorded_sounds().checksum == first.checksum


def test_recordings_that_are_not_the_books_are_told(stamps, monkeypatch, capsys):
    monkeypatch.setattr(recorded, "BOOK", recorded_sounds().checksum)
    capsys.readouterr()
    assert recorded_sounds().name == "tuxpaint" and not capsys.readouterr().err
    (stamps / "animals/frog.txt").write_text(captions("toad"))
    bank = recorded_sounds()
    said = capsys.readouterr().err
    assert bank.name == f"tuxpaint, not the book's ({bank.checksum})"
    assert f"2 recordings under {stamps} are not the book's" in said
    assert "remove that folder" in said and said.count("\n") == 1


def test_the_documented_corrections_have_a_reason_and_only_known_keys():
    file = pathlib.Path(recorded.__file__).with_name("tuxpaint_names.json")
    documented = json.loads(file.read_text(encoding="utf-8"))
    for key, correction in documented.items():
        assert correction["why"] and set(correction) - {"why"}, key
        assert set(correction) <= {"why", "drop", *CODES}, key
        assert "drop" not in correction or len(correction) == 2, key
