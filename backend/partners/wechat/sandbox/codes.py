"""Mini-program codes as real PNGs, and the check of texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.world import World
from backend.qr_images import png_code

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
    return png_code(f"https://sandbox.invalid/wxa?page={page}&scene={scene}", width)


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
