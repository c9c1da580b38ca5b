"""What the frames of an MP3 and the pages of an Ogg file hold: their decoders take a damaged file
without a word.
"""

import re
import struct
import zlib
from dataclasses import dataclass

_CONVERT = "which cannot be read; convert it: ffmpeg -i INPUT OUTPUT.wav"
_FETCH = "not a sound; fetch the file again"
NOT_SOUND = {  # how a file begins -> what it is, and what to do
    rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)": f"an HTML page, {_FETCH}",
    rb"(\xef\xbb\xbf)?\s*<\?xml": f"an XML text, {_FETCH}",
    rb"version https://git-lfs": "a pointer of Git LFS, not the sound; run `git lfs pull`",
    rb"PK\x03\x04": "a ZIP archive; unpack it",
    rb"\x1f\x8b": "a gzip archive; unpack it",
    rb"%PDF": f"a PDF, {_FETCH}",
    rb"....ftyp": f"MP4 or M4A, {_CONVERT}",
    rb"\x30\x26\xb2\x75": f"WMA, {_CONVERT}",
    rb"\x1a\x45\xdf\xa3": f"WebM or Matroska, {_CONVERT}",
    rb"#!AMR": f"AMR, {_CONVERT}",
}
# Kilobits per second of layer III by index.
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SEARCHED = 2**16  # bytes in which the first frame must begin
_MOST_BYTES = 2**27  # more than ten minutes at any rate need
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_PAGE = struct.Struct("<4sBBqIIIB")


class Damaged(ValueError):
    """A file whose structure shows that a part of it is missing or broken; the message says
    which.
    """


def what_it_is(head: bytes) -> str | None:
    """What the first bytes of a file show it to be if it is no sound that can be read, and what to
    do.
    """
    if not head:
        return "empty; fetch the file again"
    for begin, kind in NOT_SOUND.items():
        if re.match(begin, head, re.IGNORECASE | re.DOTALL):
            return kind
    return None


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are readable text in UTF-8, as an error message of a server
    is.
    """
    text = head.decode("utf-8", "ignore")
    return len(text.encode()) > len(head) - 4 and all(c.isprintable() or c.isspace() for c in text)


def after_id3(content) -> int:
    """Where the sound of a file begins, after the ID3v2 tags that may stand before it."""
    start = 0
    while content[start : start + 3] == b"ID3" and start + 10 <= len(content):
        size = 0
        for byte in content[start + 6 : start + 10]:
            size = size << 7 | byte & 0x7F
        start += 10 + size
    return start


@dataclass(frozen=True)
class Mp3:
    """The frames of a layer III file.

    header: the first four bytes of its first frame; start: where its sound begins, after the frame
    that only announces a length; frames: how many follow; announced: how many the file announces,
    None without such a frame.
    """

    header: bytes
    start: int
    frames: int
    announced: int | None

    def with_length(self, content) -> bytes:
        """The same sound behind a frame that announces all of its frames, for a decoder that
        believes the first one.
        """
        header = bytearray(self.header)
        header[1] |= 1  # no checksum
        header[2] = header[2] & 0x0C | 0x80  # long enough for what follows, no padding
        side = bytes(_side_bytes(header))
        info = bytes(header) + side + struct.pack(">4sII", b"Xing", 1, self.frames)
        sound = content[self.start : self.start + _MOST_BYTES]
        return info.ljust(_frame_bytes(header), b"\0") + sound


def mp3_frames(content, most: int) -> Mp3 | None:
    """The frames of a file's content, at most so many of them; None where there are none of layer
    III.
    """
    position = _first_frame(content)
    if position is None:
        return None
    header = bytes(content[position : position + 4])
    size = _frame_bytes(header)
    tag = position + 4 + _side_bytes(header)
    announced = None
    if content[tag : tag + 4] in (b"Xing", b"Info"):
        flags, count = struct.unpack(">II", content[tag + 4 : tag + 12])
        announced = count if flags & 1 else None
        position += size
    elif content[position + 36 : position + 40] == b"VBRI":
        position += size
    return Mp3(header, position, _count_frames(content, position, header, most), announced)


def _first_frame(content) -> int | None:
    """Where the first frame begins that another one, or the end, follows."""
    start = after_id3(content)
    for position in range(start, min(start + _SEARCHED, len(content) - 4)):
        size = _frame_bytes(content[position : position + 4])
        after = position + size
        if size and (after >= len(content) or _frame_bytes(content[after : after + 4])):
            return position
    return None


def _count_frames(content, position: int, first: bytes, most: int) -> int:
    """How many frames of the first one's kind follow, with what stands between them passed over."""
    frames = 0
    while position + 4 <= len(content) and frames < most:
        header = content[position : position + 4]
        size = _frame_bytes(header)
        if size and _same_kind(header, first):
            frames += 1
            position += size
            continue
        position = content.find(first[:1], position + 1)
        if position < 0:
            break
    return frames


def _same_kind(header: bytes, first: bytes) -> bool:
    """Whether two frames have one version, layer and sampling rate."""
    return header[1] & 0xFE == first[1] & 0xFE and header[2] & 0x0C == first[2] & 0x0C


def _frame_bytes(header) -> int:
    """The length of a layer III frame by its first four bytes; 0 where they begin none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version = header[1] >> 3 & 3
    kbits = header[2] >> 4
    rate = header[2] >> 2 & 3
    if version == 1 or kbits in (0, 15) or rate == 3:
        return 0
    padding = header[2] >> 1 & 1
    if version == 3:
        return 144_000 * _KBITS_1[kbits] // _RATES[version][rate] + padding
    return 72_000 * _KBITS_2[kbits] // _RATES[version][rate] + padding


def _side_bytes(header) -> int:
    """How many bytes of side information follow a frame's header."""
    mono = header[3] >> 6 == 3
    if header[1] >> 3 & 3 == 3:
        return 17 if mono else 32
    return 9 if mono else 17


def ogg_seconds(content) -> float:
    """How long the sound of an Ogg file lasts at least, by its pages; 0.0 for a codec that is not
    known here.

    Raises Damaged for a page whose checksum is wrong, one that is missing, and a file whose last
    page does not end its stream: a decoder reads such a file up to the damage and says nothing.
    """
    position = after_id3(content)
    streams: dict[int, _Stream] = {}  # by their number
    chained = []
    while position + _PAGE.size <= len(content):
        mark, _, flags, granule, serial, number, written, segments = _PAGE.unpack_from(
            content, position
        )
        if mark != b"OggS":
            break
        body = position + _PAGE.size + segments
        end = body + sum(content[position + _PAGE.size : body])
        if end > len(content):
            break
        if _ogg_checksum(content[position:end]) != written:
            raise Damaged(f"the page at byte {position} is broken")
        if flags & 2 and serial in streams:  # one stream after another, of the same number
            chained.append(streams.pop(serial))
        if serial not in streams:
            streams[serial] = _Stream(_clock(content[body : body + 64]), number - 1)
        streams[serial].add(position, flags, granule, number)
        position = end
    found = [*chained, *streams.values()]
    if not found or not all(stream.ended for stream in found):
        raise Damaged(f"cut short at byte {position}, its last page does not end the stream")
    return sum(stream.seconds for stream in found if stream.rate)


class _Stream:
    """One logical stream of an Ogg file, followed from page to page."""

    def __init__(self, rate: int, before: int) -> None:
        self.rate = rate
        self.number = before
        self.ended = False
        self.first: int | None = None  # positions at the ends of pages, in ticks
        self.last = 0

    def add(self, position: int, flags: int, granule: int, number: int) -> None:
        if number != self.number + 1:
            raise Damaged(f"a page is missing before byte {position}")
        self.number = number
        self.ended = bool(flags & 4)
        if granule > 0:
            self.last = granule
            if self.first is None:
                self.first = granule

    @property
    def seconds(self) -> float:
        return 0.0 if self.first is None else (self.last - self.first) / self.rate


def _clock(packet: bytes) -> int:
    """Ticks per second of a stream's positions by its first packet; 0 for a codec that is not known
    here.
    """
    if packet.startswith(b"OpusHead"):
        return 48_000
    if packet.startswith(b"\x01vorbis") and len(packet) >= 16:
        return struct.unpack_from("<I", packet, 12)[0]
    return 0


def _ogg_checksum(page: bytes) -> int:
    """Ogg's CRC-32: that of zlib with the bits of every byte, and of the result, in the other
    order.
    """
    blank = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
