"""Events that the platform pushes to us: written, sealed, signed, sent, repeated.

The sealing here is wechatpy's own, on purpose: the reader in `message_push.py` is ours, and two bodies by
different hands have to agree.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import msgspec
from wechatpy.crypto import PrpCrypto
from wechatpy.utils import WeChatSigner

from backend import clock
from backend.partners.push_kit import Push, PushFault, PushRequest, PushSender
from backend.partners.wechat.port import Account
from backend.partners.wechat.sandbox.world import App, Persona, World

ATTEMPTS = 3


class EventFault(PushFault, frozen=True):
    """What is wrong with a push on purpose."""

    bad_signature: bool = False
    wrong_appid: bool = False
    stale_seconds: int = 0


@dataclass(kw_only=True)
class EventPush(Push):
    """One push of an event or of another body."""

    app: App
    fields: dict[str, Any]
    fault: EventFault = field(default_factory=EventFault)

    @property
    def account(self) -> Account:
        """The account whose event it is."""
        return self.app.account

    def summary(self) -> dict[str, Any]:
        """The push with the answers to its attempts, as the test control shows it."""
        answers = [each.answer for each in self.attempts]
        return {"account": self.account, "event": self.about, "fields": self.fields, "attempts": answers}


class EventSender(PushSender[EventPush]):
    """Sends the events of a world."""

    apart = None

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._world = world

    def event(
        self, app: App, persona: Persona, name: str, *, fault: EventFault | None = None, **more: Any
    ) -> EventPush:
        """Push an event about a persona, in the background."""
        openid = persona.openid if app.account == "mini_program" else persona.oa_openid
        fields = {
            "ToUserName": app.original_id,
            "FromUserName": openid,
            "CreateTime": int(self._world.now().timestamp()),
            "MsgType": "event",
            "Event": name,
            **more,
        }
        return self.push(app, fields, fault or EventFault())

    def push(self, app: App, fields: dict[str, Any], fault: EventFault) -> EventPush:
        """Push any body, in the background; an account without an address pushes nothing."""
        number, event = secrets.token_hex(8), str(fields.get("Event", ""))
        return self.dispatch(EventPush(id=number, about=event, url=app.push.url, app=app, fields=fields, fault=fault))

    def requests(self, push: EventPush, *, first: bool) -> Iterator[PushRequest]:
        """One request, sealed and signed for this moment."""
        query, body, content_type = written(push.app, push.fields, push.fault)
        yield PushRequest([("Content-Type", content_type)], body, urlencode(query))

    def gaps(self, push: EventPush) -> Sequence[float]:
        """The pauses of the account."""
        return (push.app.push.gap,) * (ATTEMPTS - 1)


def written(app: App, fields: Mapping[str, Any], fault: EventFault) -> tuple[dict[str, str], bytes, str]:
    """Query, body and content type of one attempt, signed for this very moment."""
    timestamp = str(clock.timestamp() - fault.stale_seconds)
    nonce = str(secrets.randbelow(2_000_000_000))
    as_json = app.push.written == "json"
    plain = as_json_text(fields) if as_json else as_xml_text(fields)
    query = {"signature": _sha1(app.push.token, timestamp, nonce), "timestamp": timestamp, "nonce": nonce}
    body: dict[str, Any] = {"ToUserName": fields.get("ToUserName", "")}
    if app.push.mode == "plain":
        text = plain
    else:
        sealed = _sealed(app, plain, fault)
        query |= {"openid": str(fields.get("FromUserName", "")), "encrypt_type": "aes"}
        query["msg_signature"] = _sha1(app.push.token, timestamp, nonce, sealed)
        body = {**fields, "Encrypt": sealed} if app.push.mode == "compat" else {**body, "Encrypt": sealed}
        text = as_json_text(body) if as_json else as_xml_text(body)
    if fault.bad_signature:
        query |= {name: "0" * 40 for name in ("signature", "msg_signature") if name in query}
    return query, text.encode(), "application/json" if as_json else "text/xml"


def _sealed(app: App, plain: str, fault: EventFault) -> str:
    appid = "wx0000000000000000" if fault.wrong_appid else app.appid
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
