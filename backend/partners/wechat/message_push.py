"""What WeChat pushes to us: is it WeChat's, is it for us, is it fresh, and what does it say.

One address serves both accounts: the token whose signature fits shows which one pushed. Where encryption is
agreed, a plain body is refused: its signature does not cover the body, so that a sender who once saw a query could
put any body under it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from prometheus_client import Counter

from backend import clock
from backend.partners.wechat.body_reader import read_body, read_marked
from backend.partners.wechat.errors import WechatPushExpired, WechatPushInvalid, WechatPushSignatureInvalid
from backend.partners.wechat.message_crypto import Envelope, same, signature_of
from backend.partners.wechat.port import Account, Push

WINDOW = 300
"""Seconds by which the signed time may differ from ours; WeChat repeats within fifteen."""
_LONGEST_PARAMETER = 256

SKEWED = Counter(
    "zhangban_callback_clock_skew_total",
    "Callbacks with a right signature whose time is too far from ours: old ones repeated, or a wrong clock.",
    ("partner",),
)


class PushAccount(msgspec.Struct, frozen=True, kw_only=True):
    """How one of our accounts is pushed to. In mode `plain` the body is not encrypted; `compat` and `safe`
    are the same for a reader: only what was encrypted counts. Without an `aes_key` only plain pushes
    can be read."""

    account: Account
    appid: str
    token: str
    aes_key: str = ""
    mode: Literal["plain", "compat", "safe"] = "safe"

    def envelope(self) -> Envelope:
        """The key at work. Raises WechatPushSignatureInvalid when none is configured: nothing encrypted can then be
        for us."""
        if not self.aes_key:
            raise WechatPushSignatureInvalid("no key for encrypted pushes")
        return Envelope(self.token, self.aes_key, self.appid)


class PushReader:
    """Reads the pushes of every configured account."""

    def __init__(self, accounts: Sequence[PushAccount]) -> None:
        self._accounts = tuple(accounts)

    def echo(self, query: Mapping[str, str]) -> str:
        """The `echostr` of an address check that WeChat signed. Raises WechatPushSignatureInvalid, WechatPushInvalid,
        WechatPushExpired."""
        timestamp, nonce = _parameter(query, "timestamp"), _parameter(query, "nonce")
        self._signer(_parameter(query, "signature"), timestamp, nonce)
        _fresh(timestamp)
        return _parameter(query, "echostr")

    def open(self, query: Mapping[str, str], body: bytes) -> Push:
        """The verified push. Raises WechatPushSignatureInvalid, WechatPushInvalid, WechatPushExpired."""
        timestamp, nonce = _parameter(query, "timestamp"), _parameter(query, "nonce")
        fields, written = read_marked(body)
        encrypted = "encrypt_type" in query or "msg_signature" in query or "Encrypt" in fields
        if encrypted:
            source, fields = self._opened(query, fields, timestamp, nonce)
        else:
            source = self._signer(_parameter(query, "signature"), timestamp, nonce)
            if source.mode != "plain":
                raise WechatPushSignatureInvalid("plain where encryption is agreed")
        _fresh(timestamp)
        return _push(source, fields, f"{timestamp}.{nonce}", encrypted, written)

    def seal_reply(self, push: Push, text: str) -> bytes:
        """A reply that is more than `success`, in the manner of the push: encrypted if it was, JSON or
        XML."""
        if not push.encrypted:
            return text.encode()
        source = next(each for each in self._accounts if each.account == push.account)
        return sealed_reply(
            source.envelope(),
            text,
            timestamp=str(clock.timestamp()),
            nonce=secrets.token_hex(8),
            written=push.written,
        )

    def _opened(
        self, query: Mapping[str, str], fields: Mapping[str, Any], timestamp: str, nonce: str
    ) -> tuple[PushAccount, dict[str, Any]]:
        given, sealed = _parameter(query, "msg_signature"), fields.get("Encrypt")
        if not isinstance(sealed, str) or not sealed:
            raise WechatPushInvalid("no Encrypt")
        fitting = [a for a in self._accounts if same(given, signature_of(a.token, timestamp, nonce, sealed))]
        if not fitting:
            raise WechatPushSignatureInvalid("msg_signature")
        for source in fitting[:-1]:  # several only if accounts share a token: then the appid inside decides
            try:
                return source, read_body(source.envelope().open(sealed).encode())
            except WechatPushSignatureInvalid:
                continue
        return fitting[-1], read_body(fitting[-1].envelope().open(sealed).encode())

    def _signer(self, given: str, timestamp: str, nonce: str) -> PushAccount:
        fitting = [a for a in self._accounts if same(given, signature_of(a.token, timestamp, nonce))]
        if not fitting:
            raise WechatPushSignatureInvalid("signature")
        return fitting[0]


def sealed_reply(
    envelope: Envelope,
    text: str,
    *,
    timestamp: str,
    nonce: str,
    written: Literal["json", "xml"],
    random16: bytes | None = None,
) -> bytes:
    """An encrypted reply as WeChat reads it."""
    sealed = envelope.seal(text, random16=random16)
    signature = envelope.signature(timestamp, nonce, sealed)
    if written == "json":
        return msgspec.json.encode(
            {"Encrypt": sealed, "MsgSignature": signature, "TimeStamp": int(timestamp), "Nonce": nonce}
        )
    return (
        f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>"
        f"<TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
    ).encode()


def _parameter(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "")
    if not value or len(value) > _LONGEST_PARAMETER or not value.isprintable():
        raise WechatPushInvalid(f"no usable {name}")
    return value


def _fresh(timestamp: str) -> None:
    if not (timestamp.isascii() and timestamp.isdecimal()) or abs(int(timestamp) - clock.timestamp()) > WINDOW:
        SKEWED.labels("wechat").inc()
        raise WechatPushExpired("timestamp")


def _push(source: PushAccount, fields: dict[str, Any], nonce: str, encrypted: bool, written: str) -> Push:
    event = _text(fields, "Event", optional=True)
    created = _text(fields, "CreateTime")
    if not (created.isascii() and created.isdecimal()) or len(created) > 12:
        raise WechatPushInvalid("CreateTime")
    content = _with_list_on_top(fields, event)
    return Push(
        account=source.account,
        identity=_identity(source.appid, content),
        to_user=_text(fields, "ToUserName"),
        openid=_text(fields, "FromUserName"),
        created_at=int(created),
        kind=_text(fields, "MsgType"),
        event=event,
        content=content,
        nonce=nonce,
        encrypted=encrypted,
        written="xml" if written == "xml" else "json",
    )


def _text(fields: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > _LONGEST_PARAMETER or not (value or optional):
        raise WechatPushInvalid(f"no usable {name}")
    return value


def _with_list_on_top(fields: dict[str, Any], event: str) -> dict[str, Any]:
    """The one shape of a list: always a list, always under `List` on top.

    XML wraps it in an element named after the event (SubscribeMsgPopupEvent); JSON sends one element bare.
    """
    content = dict(fields)
    wrapper = next((name for name in content if name.lower() == event.replace("_", "").lower()), None)
    if wrapper is not None and isinstance(content[wrapper], dict) and "List" in content[wrapper]:
        content["List"] = content.pop(wrapper)["List"]
    if "List" in content:
        entries = content["List"] if isinstance(content["List"], list) else [content["List"]]
        content["List"] = [entry for entry in entries if isinstance(entry, dict)]
    return content


def _identity(appid: str, content: Mapping[str, Any]) -> str:
    """The same for every repeat of a push.

    Ordinary messages have a MsgId. Events have none: person, second and event name come close, but two
    events of one second can differ in their List, so everything that was said is part of it. Hashed, as it
    names a person.
    """
    message = content.get("MsgId")
    if isinstance(message, str) and message and "Event" not in content:
        said: Any = [appid, message]
    else:
        said = [appid, content]
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()
