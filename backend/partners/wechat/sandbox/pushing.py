"""Events that the platform pushes to us: written, sealed, signed, sent, repeated.

The sealing here is wechatpy's own, on purpose: the reader in `message_push.py` is ours, and two bodies by
different hands have to agree.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import aiohttp
import msgspec
from wechatpy.crypto import PrpCrypto
from wechatpy.utils import WeChatSigner

from backend import clock
from backend.partners.wechat.sandbox.world import App, Persona, World

ATTEMPTS = 3
WAITS = 5.0
"""Seconds that the platform waits for an answer."""


@dataclass
class Sending:
    """One push and what became of it."""

    account: str
    event: str
    fields: dict[str, Any]
    attempts: list[str] = field(default_factory=list)
    """Of each attempt the HTTP status, or the kind of failure."""

    @property
    def arrived(self) -> bool:
        """Whether the last attempt was answered with 200."""
        return bool(self.attempts) and self.attempts[-1] == "200"


@dataclass(frozen=True)
class Mishap:
    """What is wrong with a push on purpose."""

    bad_signature: bool = False
    wrong_appid: bool = False
    stale_seconds: int = 0
    copies: int = 1
    """How often it is sent even when it was answered."""


class Pusher:
    """Sends the events of a world; `sent` keeps all of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sent: list[Sending] = []
        self.mishap = Mishap()

    def event(self, app: App, someone: Persona, name: str, *, mishap: Mishap | None = None, **more: Any) -> Sending:
        """Push an event about somebody, in the background."""
        openid = someone.openid if app.account == "mini_program" else someone.oa_openid
        fields = {
            "ToUserName": app.original_id,
            "FromUserName": openid,
            "CreateTime": int(self._world.now().timestamp()),
            "MsgType": "event",
            "Event": name,
            **more,
        }
        return self.push(app, fields, mishap or self.mishap)

    def push(self, app: App, fields: dict[str, Any], mishap: Mishap) -> Sending:
        """Push any body, in the background; an account without an address keeps silent."""
        sending = Sending(app.account, str(fields.get("Event", "")), fields)
        self.sent.append(sending)
        if app.push.url:
            self._world.in_background(self._deliver(app, sending, mishap))
        return sending

    async def _deliver(self, app: App, sending: Sending, mishap: Mishap) -> None:
        timeout = aiohttp.ClientTimeout(total=WAITS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for _ in range(mishap.copies):
                for attempt in range(ATTEMPTS):
                    if attempt:
                        await asyncio.sleep(app.push.gap)
                    sending.attempts.append(await self._attempt(session, app, sending, mishap))
                    if sending.arrived:
                        break

    @staticmethod
    async def _attempt(session: aiohttp.ClientSession, app: App, sending: Sending, mishap: Mishap) -> str:
        query, body, content_type = written(app, sending.fields, mishap)
        try:
            async with session.post(
                app.push.url, params=query, data=body, headers={"Content-Type": content_type}
            ) as answer:
                await answer.read()
                return str(answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return type(error).__name__


def written(app: App, fields: Mapping[str, Any], mishap: Mishap) -> tuple[dict[str, str], bytes, str]:
    """Query, body and content type of one attempt, signed for this very moment."""
    timestamp = str(clock.timestamp() - mishap.stale_seconds)
    nonce = str(secrets.randbelow(2_000_000_000))
    as_json = app.push.written == "json"
    plain = as_json_text(fields) if as_json else as_xml_text(fields)
    query = {"signature": _sha1(app.push.token, timestamp, nonce), "timestamp": timestamp, "nonce": nonce}
    body: dict[str, Any] = {"ToUserName": fields.get("ToUserName", "")}
    if app.push.mode == "plain":
        text = plain
    else:
        sealed = _sealed(app, plain, mishap)
        query |= {"openid": str(fields.get("FromUserName", "")), "encrypt_type": "aes"}
        query["msg_signature"] = _sha1(app.push.token, timestamp, nonce, sealed)
        body = {**fields, "Encrypt": sealed} if app.push.mode == "compat" else {**body, "Encrypt": sealed}
        text = as_json_text(body) if as_json else as_xml_text(body)
    if mishap.bad_signature:
        query |= {name: "0" * 40 for name in ("signature", "msg_signature") if name in query}
    return query, text.encode(), "application/json" if as_json else "text/xml"


def _sealed(app: App, plain: str, mishap: Mishap) -> str:
    appid = "wx0000000000000000" if mishap.wrong_appid else app.appid
    sealed = PrpCrypto(b64decode(app.push.aes_key + "=")).encrypt(plain, appid)
    return str(sealed, "ascii") if isinstance(sealed, bytes) else str(sealed)


def _sha1(*parts: str) -> str:
    signer = WeChatSigner()
    signer.add_data(*parts)
    return str(signer.signature)


def as_json_text(fields: Mapping[str, Any]) -> str:
    """JSON as WeChat writes it: numbers of subscribe events as text, a List of one as a bare object."""
    listed = "List" in fields
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, list):
            shown[name] = value[0] if len(value) == 1 else value
        else:
            shown[name] = str(value) if listed and isinstance(value, int) else value
    return msgspec.json.encode(shown).decode()


def as_xml_text(fields: Mapping[str, Any]) -> str:
    """XML as WeChat writes it: texts in CDATA, the entries of a List inside an element named after the
    event."""
    shown = dict(fields)
    if isinstance(entries := shown.pop("List", None), list):
        wrapper = "".join(word.capitalize() for word in str(fields.get("Event", "")).split("_"))
        shown[wrapper] = [("List", entry) for entry in entries]
    return f"<xml>{_elements(shown)}</xml>"


def _elements(fields: Mapping[str, Any]) -> str:
    return "".join(_element(name, value) for name, value in _repeated(fields))


def _repeated(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each element; a list of groups is the element again and again (the nodes of `add_express_path`)."""
    for name, value in fields.items():
        if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
            yield from ((name, each) for each in value)
        else:
            yield name, value


def _element(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        inner = _elements(value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        inner = "".join(_element(each_name, each) for each_name, each in value)
    elif isinstance(value, int):
        inner = str(value)
    else:
        text = str(value)
        inner = f"<![CDATA[{text}]]>" if "]]>" not in text else escape(text)
    return f"<{name}>{inner}</{name}>"
