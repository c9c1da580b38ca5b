"""Whether a file of frames or pages is one whole sound, which its decoder does not notice."""

import mmap
import re
import zlib

_LONGEST_FRAME = 1441  # bytes
_FRAME = rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"  # begins one of layer III
# one that says how long the MP3 is, and mostly in how many bytes
_LENGTH = re.compile(
    _FRAME + rb".{2,4}\0{9,32}(?:Xing|Info)\0\0\0(?:[\3\7\13\17].{4}(.{4})|[\1-\17])",
    re.DOTALL,
)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def is_one_mp3(content: mmap.mmap) -> bool:
    """Whether at most one frame says how long the sound is, and no others follow its end."""
    lengths = list(_LENGTH.finditer(content))
    if len(lengths) != 1:
        return not lengths
    length = int.from_bytes(lengths[0][1] or b"")
    behind = content[lengths[0].start() + length + _LONGEST_FRAME :]
    # more than chance has in a picture, less than there are in any sound
    return not length or len(re.findall(_FRAME, behind)) <= len(behind) / (2 * _LONGEST_FRAME)


def is_one_ogg(content: mmap.mmap) -> bool:
    """Whether the pages are whole, none is missing, and the last one ends its stream."""
    count = place = flags = 0
    while content[place : place + 4] == b"OggS":
        body = place + 27 + int.from_bytes(content[place + 26 : place + 27])
        end = body + sum(content[place + 27 : body])
        page = content[place:end]
        # the CRC-32 of zlib, with the bits of every byte and of the result in the other order
        blank = page[:22] + bytes(4) + page[26:]
        crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        whole = crc.to_bytes(4).translate(_REVERSED) == page[22:26]
        if not whole or page[18:22] != count.to_bytes(4, "little"):
            return False
        flags = page[5]
        count += 1
        place = end
    return bool(flags & 4)
