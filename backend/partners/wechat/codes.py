"""Mini-program codes and the check of texts."""

from __future__ import annotations

import re
from typing import Any

from backend.partners.wechat.api import Errors, WeChatApi
from backend.partners.wechat.errors import (
    WechatBusy,
    WechatPageNotFound,
    WechatRecipientNotFound,
    WechatRefused,
    WechatSceneRefused,
    WechatUserNotRecent,
)
from backend.partners.wechat.port import CodeImage, TextVerdict

_SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]{1,32}", re.ASCII)
NARROWEST, WIDEST = 280, 1280
LONGEST_TEXT = 2500
_SCENES = {"profile": 1, "comment": 2, "forum": 3, "social": 4}

_CODE: Errors = {40129: WechatSceneRefused, 40169: WechatSceneRefused, 41030: WechatPageNotFound}
_TEXT: Errors = {40003: WechatRecipientNotFound, 61010: WechatUserNotRecent}


async def mini_program_code(
    api: WeChatApi, scene: str, page: str | None, width: int, check_page: bool, version: str
) -> CodeImage:
    """What the documents forbid is refused before it costs a call."""
    if not _SCENE.fullmatch(scene):
        raise WechatSceneRefused("wechat", "not-sent")
    if page is not None and (page.startswith("/") or "?" in page):
        raise WechatPageNotFound("wechat", "not-sent")
    content: dict[str, Any] = {
        "scene": scene,
        "check_path": check_page,
        "env_version": version,
        "width": min(max(width, NARROWEST), WIDEST),
    }
    if page:
        content["page"] = page
    reply = await api.post_for_bytes("/wxa/getwxacodeunlimit", content, errors=_CODE)
    return CodeImage(reply.body, reply.content_type)


async def check_text(api: WeChatApi, openid: str, text: str, scene: str, title: str) -> TextVerdict:
    """Check a text for prohibited content."""
    if not 1 <= len(text) <= LONGEST_TEXT:
        raise WechatRefused("wechat", "not-sent")
    content: dict[str, Any] = {"openid": openid, "version": 2, "scene": _SCENES[scene], "content": text}
    if title:
        content["title"] = title
    answer = await api.post("/wxa/msg_sec_check", content, errors=_TEXT)
    result = answer.get("result")
    suggestion = result.get("suggest") if isinstance(result, dict) else None
    if not isinstance(result, dict) or suggestion not in ("pass", "review", "risky"):
        raise WechatBusy("wechat", "no-verdict")
    return TextVerdict(suggestion, int(result.get("label", 0)), str(answer.get("trace_id", "")))
