"""The picture of a signature, as the counter's tablet sends it: a PNG of bounded size on which something is drawn.

It is read without a picture library, because it comes from outside: chunks with their check sums, a bounded unpacking,
and a count of the inked rows. A file that is not exactly a PNG with eight bits per channel is refused.
"""

from __future__ import annotations

import binascii
import struct
import zlib
from base64 import b64decode
from collections.abc import Iterator

from backend.deliveries.errors import SignatureUnusable
from backend.errors import Fault

MAGIC = b"\x89PNG\r\n\x1a\n"
LARGEST = 150_000
"""Bytes of the file."""
SIDES = (50, 1600)
"""Pixels of the longer and the shorter side: at least, at most."""
MOST_PIXELS = 1_000_000
INK_ROWS = 8
"""The fewest rows with ink: a dot is no signature."""
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Colour type → channels: grey and colour, with and without transparency. Palettes are not what a canvas makes."""


class _NoSignature(ValueError):
    pass


def check_signature(picture: str) -> str:
    """Return the picture in base64, without the leading `data:`. Raises SignatureUnusable."""
    text = picture.removeprefix("data:image/png;base64,")
    try:
        _check(b64decode(text, validate=True))
    except (_NoSignature, binascii.Error, zlib.error, struct.error, ValueError) as error:
        raise SignatureUnusable(fields=[Fault("/signature", "请提供有笔迹的 PNG 图片，不超过 150 KB")]) from error
    return text


def _check(content: bytes) -> None:
    if len(content) > LARGEST or not content.startswith(MAGIC):
        raise _NoSignature("size or magic")
    chunks = list(_chunks(content))
    if chunks[0][0] != b"IHDR" or chunks[-1] != (b"IEND", b"") or [name for name, _ in chunks].count(b"IHDR") != 1:
        raise _NoSignature("chunks")
    width, height, depth, colour, packing, filters, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or colour not in _CHANNELS or packing or filters or interlaced:
        raise _NoSignature("kind")
    if not SIDES[0] <= min(width, height) <= max(width, height) <= SIDES[1] or width * height > MOST_PIXELS:
        raise _NoSignature("sides")
    size = width * _CHANNELS[colour]
    if _ink(_unpacked(chunks, height * (size + 1)), size, _CHANNELS[colour]) < INK_ROWS:
        raise _NoSignature("blank")


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(MAGIC)
    while place < len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        body = content[place + 8 : place + 8 + length]
        (sum_,) = struct.unpack_from(">I", content, place + 8 + length)
        if zlib.crc32(name + body) != sum_:
            raise _NoSignature("check sum")
        yield name, body
        place += 12 + length
        if name == b"IEND" and place != len(content):
            raise _NoSignature("something after the end")


def _unpacked(chunks: list[tuple[bytes, bytes]], size: int) -> bytes:
    unpacking = zlib.decompressobj()
    rows = unpacking.decompress(b"".join(body for name, body in chunks if name == b"IDAT"), size + 1)
    if len(rows) != size or not unpacking.eof:
        raise _NoSignature("more or less than the picture")
    return rows


def _ink(rows: bytes, size: int, channels: int) -> int:
    """How many rows are drawn on: under every filter of PNG a plain row repeats itself after its first pixel."""
    drawn = 0
    for start in range(0, len(rows), size + 1):
        if rows[start] > 4:
            raise _NoSignature("filter")
        rest = rows[start + 1 + channels : start + 1 + size]
        drawn += rest != rest[:channels] * (len(rest) // channels)
    return drawn
