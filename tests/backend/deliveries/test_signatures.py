"""The picture of a signature: what a tablet draws is taken, everything else is refused."""

from __future__ import annotations

import os
import struct
import zlib
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.deliveries import signatures
from backend.deliveries.errors import SignatureUnusable
from tests.factories.deliveries import a_chunk, a_signature

MAGIC = signatures.MAGIC
GOOD = b64decode(a_signature())


def a_picture(*, width: int, height: int, colour: int = 0, depth: int = 8, interlaced: int = 0, rows: bytes) -> str:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b64encode(MAGIC + b"".join(a_chunk(*each) for each in chunks)).decode()


def test_a_drawn_signature_is_taken_with_and_without_what_browsers_put_in_front():
    drawn = a_signature()

    assert signatures.check_signature(drawn) == drawn
    assert signatures.check_signature(f"data:image/png;base64,{drawn}") == drawn


@pytest.mark.parametrize("filtering", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_a_blank_picture_is_no_signature_under_any_filter(filtering: int, colour: int):
    channels, width, height = {0: 1, 2: 3, 4: 2, 6: 4}[colour], 60, 50
    pixel = bytes([200, 10, 90, 255][:channels])
    rows = b"".join(_filtered(filtering, pixel, width, first=not y) for y in range(height))

    with pytest.raises(SignatureUnusable):
        signatures.check_signature(a_picture(width=width, height=height, colour=colour, rows=rows))


def _filtered(filtering: int, pixel: bytes, width: int, *, first: bool) -> bytes:
    """A row of one colour under a filter of PNG, as its specification says."""
    above = bytes(len(pixel)) if first else pixel
    out = bytearray([filtering])
    for x in range(width):
        for value, up in zip(pixel, above, strict=True):
            left, corner = (value, up) if x else (0, 0)
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda each: abs(guess - each))
            predicted = (0, left, up, (left + up) // 2, paeth)[filtering]
            out.append((value - predicted) % 256)
    return bytes(out)


@pytest.mark.parametrize(
    "picture",
    [
        "",
        "not base64!",
        b64encode(b"GIF89a" + GOOD).decode(),
        b64encode(GOOD[:-4]).decode(),
        b64encode(GOOD + b"<script>").decode(),
        b64encode(GOOD.replace(b"IDAT", b"IDAX")).decode(),
        b64encode(GOOD[:40] + bytes([GOOD[40] ^ 1]) + GOOD[41:]).decode(),
        b64encode(GOOD + os.urandom(signatures.LARGEST)).decode(),
        a_signature(drawn=False),
        a_signature(width=40),
        a_signature(width=1700),
        a_picture(width=80, height=50, depth=16, rows=bytes(50 * 161)),
        a_picture(width=80, height=50, colour=3, rows=bytes(50 * 81)),
        a_picture(width=80, height=50, interlaced=1, rows=bytes(50 * 81)),
        a_picture(width=80, height=50, rows=os.urandom(50)),
        a_picture(width=80, height=50, rows=bytes([9]) * 50 * 81),
    ],
)
def test_everything_else_is_refused(picture: str):
    with pytest.raises(SignatureUnusable) as caught:
        signatures.check_signature(picture)

    assert caught.value.fields[0].pointer == "/signature"


def test_a_picture_that_unpacks_to_far_more_than_it_says_is_refused_without_unpacking_it():
    bomb = a_picture(width=80, height=50, rows=bytes(100_000_000))

    assert len(bomb) < 150_000
    with pytest.raises(SignatureUnusable):
        signatures.check_signature(bomb)


@given(st.binary(max_size=400), st.integers(0, len(GOOD)))
def test_no_bytes_lead_to_anything_but_a_refusal(noise: bytes, place: int):
    broken = GOOD[:place] + noise + GOOD[place + len(noise) :]
    try:
        signatures.check_signature(b64encode(broken).decode())
    except SignatureUnusable:
        return
    assert broken == GOOD or noise == b""
