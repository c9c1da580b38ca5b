"""RecordedBank on small invented stamps: names, what is left out, bad files, whether they are the
book's.
"""

import io
import json
import re

import numpy as np
import pytest
import soundfile

from atri_lib.audio import SAMPLE_RATE, UnreadableSound
from atri_lib.data import recorded
from atri_lib.data.items import BankUnavailable
from atri_lib.data.recorded import RecordedBank, decode, noun_phrase
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
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))


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
def stamps(tmp_path):
    folder = tmp_path / "stamps"
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
        "copyright": b"GPL-2",
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
    bank = RecordedBank(stamps, {})
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


def test_a_sound_without_a_caption_in_one_language_is_left_out_and_listed(stamps):
    text = stamps / "animals/newt.txt"
    text.write_text(
        "\n".join(line for line in text.read_text().splitlines() if not line.startswith("nl"))
    )
    bank = RecordedBank(stamps, {})
    assert ids(bank) == ["frog"] and bank.left_out == {"newt": "no caption in nld"}
    corrected = RecordedBank(stamps, {"newt": {"why": "no Dutch caption", "nld": "een salamander"}})
    assert corrected.items[1].names["nld"] == "een salamander"


def test_a_sound_without_a_caption_file_can_be_named_by_the_corrections(stamps):
    (stamps / "animals/newt.txt").unlink()
    assert RecordedBank(stamps, {}).left_out == {"newt": f"no caption in {', '.join(CODES)}"}
    names = {code: f"newt in {code}" for code in CODES}
    assert RecordedBank(stamps, {"newt": {"why": "", **names}}).items[1].names == names


def test_a_name_that_is_taken_in_one_language_leaves_the_second_sound_out(stamps):
    bank = RecordedBank(stamps, {"newt": {"why": "", "spa": "una rana"}})
    assert ids(bank) == ["frog"] and "una rana" in bank.left_out["newt"]


def test_silent_and_dropped_sounds_are_left_out_with_the_reason(stamps):
    (stamps / "animals/newt.ogg").write_bytes(ogg(0))
    assert RecordedBank(stamps, {}).left_out == {"newt": "silent"}
    assert RecordedBank(stamps, {"newt": {"why": "not a newt", "drop": True}}).left_out == {
        "newt": "not a newt"
    }


@pytest.mark.parametrize(
    "content", [b"", b"not audio", ogg(300)[:40]], ids=["empty", "text", "cut"]
)
def test_a_bad_file_is_named(stamps, content):
    (stamps / "animals/newt.ogg").write_bytes(content)
    with pytest.raises(UnreadableSound, match=r"newt\.ogg"):
        RecordedBank(stamps, {})


def test_a_folder_without_sounds_is_refused(tmp_path):
    with pytest.raises(BankUnavailable, match="no sound effects"):
        RecordedBank(tmp_path, {})


def test_a_second_load_decodes_nothing_and_equals_the_first(stamps, monkeypatch):
    first = RecordedBank(stamps, {})
    with monkeypatch.context() as patch:
        patch.setattr(recorded, "decode", None)
        again = RecordedBank(stamps, {})
    assert first.checksum == again.checksum
    assert all(
        a.content.tobytes() == b.content.tobytes()
        for a, b in zip(first.items, again.items, strict=True)
    )
    (stamps / "animals/frog.ogg").write_bytes(ogg(600))
    assert RecordedBank(stamps, {}).checksum != first.checksum


def test_a_damaged_cache_is_decoded_again(stamps, tmp_path):
    first = RecordedBank(stamps, {})
    (cached,) = (tmp_path / "cache/tuxpaint").glob("waveforms-*.npz")
    for damage in (b"", b"PK\x03\x04 not a zip", cached.read_bytes()[:-100]):
        cached.write_bytes(damage)
        assert RecordedBank(stamps, {}).checksum == first.checksum


def test_altered_samples_in_the_cache_are_decoded_again(stamps, tmp_path):
    first = RecordedBank(stamps, {})
    (cached,) = (tmp_path / "cache/tuxpaint").glob("waveforms-*.npz")
    content = cached.read_bytes()
    listed = content.rindex(b"arr_0") + 4  # in the archive's list of names
    for place in (180, len(content) // 2, len(content) // 2 + 300, listed):
        altered = content[place] ^ 1
        cached.write_bytes(content[:place] + bytes([altered]) + content[place + 1 :])
        assert RecordedBank(stamps, {}).checksum == first.checksum


def test_recordings_that_are_not_the_books_are_named(stamps, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recorded, "CORRECTIONS", tmp_path / "names.json")
    monkeypatch.setattr(recorded, "BOOK", tmp_path / "book.json")
    recorded.CORRECTIONS.write_text("{}")
    recorded.BOOK.write_text(json.dumps(RecordedBank(stamps, {}).file_sums()))
    assert RecordedBank(stamps).name == "tuxpaint" and not capsys.readouterr().err
    (stamps / "animals/frog.txt").write_text(captions("toad"))
    (stamps / "animals/newt.ogg").unlink()
    (stamps / "animals/eft.ogg").write_bytes(ogg(300))
    (stamps / "animals/eft.txt").write_text(captions("eft"))
    bank, said = RecordedBank(stamps), capsys.readouterr().err
    assert bank.name == f"tuxpaint, not the book's ({bank.checksum})"
    for fault in (
        "frog.ogg is altered",
        "newt.ogg is missing",
        "eft.ogg is new",
        "Remove that folder",
    ):
        assert fault in said
    assert said.count("\n") == 1


def test_the_documented_corrections_have_a_reason_and_only_known_keys():
    corrections = json.loads(recorded.CORRECTIONS.read_text(encoding="utf-8"))
    assert isinstance(corrections.pop("_about"), str)
    for key, correction in corrections.items():
        assert correction["why"] and set(correction) - {"why"}, key
        assert set(correction) <= {"why", "drop", *CODES} and (
            "drop" not in correction or len(correction) == 2
        ), key
