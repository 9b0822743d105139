"""A text as a QR code, drawn by ourselves from the matrix: PNG of one bit a pixel, or SVG of one path."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

QUIET = 4
"""Light modules around the code: ISO/IEC 18004 wants four."""


@lru_cache(maxsize=64)
def _matrix(text: str) -> tuple[tuple[bool, ...], ...]:
    # Loaded with the first code: qrcode brings PIL, which we do not draw with.
    from qrcode.constants import ERROR_CORRECT_M
    from qrcode.main import QRCode

    code = QRCode(border=QUIET, error_correction=ERROR_CORRECT_M)
    code.add_data(text)
    code.make(fit=True)
    return tuple(tuple(map(bool, row)) for row in code.get_matrix())


def png_code(text: str, width: int = 480) -> bytes:
    """The code as a PNG, at most `width` pixels wide and at least one per module; black on white."""
    matrix = _matrix(text)
    scale = max(1, width // len(matrix))
    side = scale * len(matrix)
    rows = bytearray()
    for line in matrix:
        bits = "".join(("0" if dark else "1") * scale for dark in line).ljust(-(-side // 8) * 8, "1")
        rows += (b"\x00" + int(bits, 2).to_bytes(len(bits) // 8, "big")) * scale
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def svg_code(text: str) -> bytes:
    """The code as an SVG without scripts, styles or references: it scales to its container."""
    matrix = _matrix(text)
    side = len(matrix)
    dark = "".join(f"M{x} {y}h{length}v1h-{length}z" for y, row in enumerate(matrix) for x, length in _runs(row))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{dark}"/></svg>'
    ).encode()


def _runs(row: tuple[bool, ...]) -> list[tuple[int, int]]:
    """Where dark modules begin, and how many stand side by side."""
    runs: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if not dark:
            continue
        if runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((x, 1))
    return runs


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
