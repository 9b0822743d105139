"""Mini-program codes as real PNGs, and the check of texts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from qrcode.main import QRCode

from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.world import World

_SCENE = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$&'()*+,/:;=?@-._~")
RECENT = timedelta(hours=2)


def code_unlimited(world: World, content: Mapping[str, Any]) -> bytes:
    """POST /wxa/getwxacodeunlimit: PNG bytes."""
    scene, page = str(content.get("scene", "")), str(content.get("page", ""))
    if len(scene) > 32:
        raise Errcode(40169, "invalid length for scene, or the data is not json string")
    if not scene or set(scene) - _SCENE:
        raise Errcode(40129, "invalid scene")
    if content.get("env_version", "release") not in ("release", "trial", "develop"):
        raise Errcode(40097, "invalid args")
    known = world.pages is None or not page or page in world.pages
    if page.startswith("/") or "?" in page or (content.get("check_path", True) and not known):
        raise Errcode(41030, "invalid page")
    width = min(max(int(content.get("width", 430)), 280), 1280)
    return png_of(f"https://sandbox.invalid/wxa?page={page}&scene={scene}", width)


def png_of(text: str, width: int) -> bytes:
    """The text as a QR code, about `width` pixels wide, black on white, one bit a pixel."""
    code = QRCode(border=4)
    code.add_data(text)
    code.make(fit=True)
    matrix = code.get_matrix()
    scale = max(1, width // len(matrix))
    side = scale * len(matrix)
    rows = bytearray()
    for line in matrix:
        bits = "".join(("0" if dark else "1") * scale for dark in line).ljust(-(-side // 8) * 8, "1")
        rows += (b"\x00" + int(bits, 2).to_bytes(len(bits) // 8, "big")) * scale
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def text_check(world: World, content: Mapping[str, Any]) -> dict[str, Any]:
    """POST /wxa/msg_sec_check, version 2."""
    someone = world.persona_with(str(content.get("openid", "")), "mini_program")
    text = content.get("content")
    if content.get("version") != 2 or content.get("scene") not in (1, 2, 3, 4):
        raise Errcode(40129, "invalid scene")
    if not isinstance(text, str) or not text:
        raise Errcode(44002, "empty post data")
    if len(text) > 2500:
        raise Errcode(47001, "data format error")
    if someone.visited_at is None or world.now() - someone.visited_at > RECENT:
        raise Errcode(61010, "user access record timeout")
    risky = any(word in text for word in world.sensitive_words)
    result = {"suggest": "risky", "label": 20001} if risky else {"suggest": "pass", "label": 100}
    detail = [{"strategy": "content_model", "errcode": 0, **result, "prob": 90}]
    return {"errcode": 0, "errmsg": "ok", "result": result, "detail": detail, "trace_id": world.next_id()}
