"""What the frames of an MP3 and the pages of an Ogg file hold: their decoders take a damaged file
without a word.
"""

import itertools
import re
import struct
import zlib
from collections.abc import Iterator

_CONVERT = "which cannot be read; convert it: ffmpeg -i INPUT OUTPUT.wav"
_FETCH = "not a sound; fetch the file again"
_NOT_SOUND = {  # how a file begins -> what it is, and what to do
    rb"\Z": "is empty; fetch the file again",
    rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)": f"is an HTML page, {_FETCH}",
    rb"(\xef\xbb\xbf)?\s*<\?xml": f"is an XML text, {_FETCH}",
    rb"version https://git-lfs": "is a pointer of Git LFS, not the sound; run `git lfs pull`",
    rb"PK\x03\x04": "is a ZIP archive; unpack it",
    rb"\x1f\x8b": "is a gzip archive; unpack it",
    rb"%PDF": f"is a PDF, {_FETCH}",
    rb"....ftyp": f"is MP4 or M4A, {_CONVERT}",
    rb"\x30\x26\xb2\x75": f"is WMA, {_CONVERT}",
    rb"\x1a\x45\xdf\xa3": f"is WebM or Matroska, {_CONVERT}",
    rb"#!AMR": f"is AMR, {_CONVERT}",
}
_FRAME = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]..", re.DOTALL)  # begins one of layer III
_ANNOUNCED = re.compile(rb"(?:Xing|Info)...(.)(....)", re.DOTALL)  # flags, and how many frames
# of layer III in MPEG 1, and in MPEG 2 and 2.5: kilobits per second by index; 0 is none
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES = (44_100, 48_000, 32_000, 0)  # of MPEG 1, by index
_MOST_FRAMES = 50_000  # more than ten minutes at any rate have
_MOST_BYTES = 2**27  # more than ten minutes at any rate need
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_PAGE = struct.Struct("<4sBBqIIIB")


def not_sound(head: bytes) -> str | None:
    """What the first bytes of a file show it to be if it is no sound that can be read, and what to
    do.
    """
    for begin, kind in _NOT_SOUND.items():
        if re.match(begin, head, re.IGNORECASE | re.DOTALL):
            return kind
    return None


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are readable text in UTF-8, as an error message of a server
    is.
    """
    text = head.decode("utf-8", "ignore")
    return len(text.encode()) > len(head) - 4 and all(c.isprintable() or c.isspace() for c in text)


def mp3_with_length(content) -> bytes | None:
    """An MP3 that announces how many frames it has, made of one that does not or that announces
    fewer, for a decoder that believes the first frame.

    None for any other, and where there are no frames of layer III.
    """
    frames = _frames(content)
    first = next(frames, None)
    if first is None:
        return None
    start, end = first
    count = sum(1 for _ in itertools.islice(frames, _MOST_FRAMES))
    header = bytearray(content[start : start + 4])
    header[1] |= 1  # no checksum
    header[2] = header[2] & 0x0C | 0x80  # long enough for what follows, no padding
    size, _, side = _frame(header)
    known = _ANNOUNCED.match(content, start + 4 + side)
    if known and known[1][0] & 1 and count <= int.from_bytes(known[2]) + 2:
        return None
    if known or content[start + 36 : start + 40] == b"VBRI":
        start = end  # the first frame holds no sound
    else:
        count += 1
    info = bytes(header) + bytes(side) + struct.pack(">4sII", b"Xing", 1, count)
    return info.ljust(size, b"\0") + content[start : start + _MOST_BYTES]


def _frames(content) -> Iterator[tuple[int, int]]:
    """Where the frames begin and end, with what stands between them passed over.

    The first is one that another one, or the end, follows; all are of its sampling rate.
    """
    position = _after_id3(content)
    first_rate = None
    while found := _FRAME.search(content, position):
        start = found.start()
        size, rate, _ = _frame(found[0])
        end = start + size
        if not first_rate and size and (end >= len(content) or _FRAME.match(content, end)):
            first_rate = rate
        if size and rate == first_rate:
            yield start, end
            position = end
        else:
            position = start + 1


def _after_id3(content) -> int:
    """Where the sound of a file begins, after the ID3v2 tags that may stand before it."""
    start = 0
    while content[start : start + 3] == b"ID3":
        size = 0
        for byte in content[start + 6 : start + 10]:
            size = size << 7 | byte & 0x7F
        start += 10 + size
    return start


def _frame(header) -> tuple[int, int, int]:
    """The bytes of a frame, its sampling rate and the bytes of its side information, by its first
    four bytes; 0 bytes for none.
    """
    mono = header[3] >> 6 == 3
    rate = _RATES[header[2] >> 2 & 3]
    index = header[2] >> 4
    if header[1] & 0x18 == 0x18:  # MPEG 1
        bits = 144_000 * _KBITS_1[index]
        side = 17 if mono else 32
    else:
        bits = 72_000 * _KBITS_2[index]
        side = 9 if mono else 17
        rate //= 2 if header[1] & 0x10 else 4
    padding = header[2] >> 1 & 1
    size = bits // rate + padding if bits and rate else 0
    return size, rate, side


def ogg_fault(content) -> str | None:
    """What is wrong with an Ogg file by its pages, and what to do; None for a whole one.

    That is a page whose checksum is wrong, one that is missing, a last page that does not end its
    stream, and a stream behind another one: a decoder reads such a file up to there and says
    nothing.
    """
    position = 0
    numbers: dict[int, int] = {}  # of the last page, by stream
    ended: dict[int, int] = {}  # whether it is the last one
    while position + _PAGE.size <= len(content):
        mark, _, flags, _, stream, number, written, segments = _PAGE.unpack_from(content, position)
        body = position + _PAGE.size + segments
        end = body + sum(content[position + _PAGE.size : body])
        if mark != b"OggS" or end > len(content):
            break
        if _ogg_checksum(content[position:end]) != written:
            return f"the page at byte {position} is broken; replace the file"
        if flags & 2 and any(numbers.values()):
            return f"only what comes before byte {position} can be decoded; convert it again"
        if number != numbers.get(stream, number - 1) + 1:
            return f"a page is missing before byte {position}; replace the file"
        numbers[stream] = number
        ended[stream] = flags & 4
        position = end
    if not ended or not all(ended.values()):
        said = f"cut short at byte {position}, its last page does not end the stream"
        return f"{said}; replace the file"
    return None


def _ogg_checksum(page: bytes) -> int:
    """Ogg's CRC-32: that of zlib with the bits of every byte, and of the result, in the other
    order.
    """
    blank = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
