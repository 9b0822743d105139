"""Notices that the platform sends: sealed, signed anew at every attempt, repeated on the official schedule until
they are answered with 200 or 204, and the faults that a notice can have.
"""

from __future__ import annotations

import secrets
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any
from xml.sax.saxutils import escape

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from backend.partners.push_kit import Headers, Push, PushFault, PushMode, PushRequest, PushSender
from backend.partners.wechat_pay.sandbox.signing import SignatureFault, seal, signed_headers
from backend.partners.wechat_pay.sandbox.world import PayWorld, beijing

SCHEDULE = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""Seconds between the attempts: fifteen repeats within 24 hours and 4 minutes."""
SUMMARIES = {
    "TRANSACTION.SUCCESS": "支付成功",
    "REFUND.SUCCESS": "退款成功",
    "REFUND.ABNORMAL": "退款异常",
    "REFUND.CLOSED": "退款关闭",
}


class NoticeFault(PushFault, frozen=True):
    """What is wrong with a notice on purpose. `copies` are lines that send it within a second."""

    signature: SignatureFault = "none"
    """`probe` comes first and is followed by the true one, the others at every attempt."""
    changes: dict[str, Any] = {}
    """Fields of the plaintext to be replaced, dotted for inner ones (`amount.total`); None removes one."""
    plaintext: str | None = None
    """The plaintext to be sealed as it stands, in place of the true one."""
    wrong_key: bool = False
    """Seal with another APIv3 key."""
    no_associated_data: bool = False
    tampered: bool = False
    """Alter the body after it was signed."""
    bom: bool = False
    """Begin the (signed) body with a byte order mark."""
    spaced: bool = False
    """Write the (signed) body with other spacing and key order."""


@dataclass(kw_only=True)
class Notice(Push):
    """One notice about an order or refund number."""

    event: str
    body: bytes
    fault: NoticeFault = field(default_factory=NoticeFault)
    xml: bool = False

    def summary(self) -> dict[str, Any]:
        """The notice and its attempts, as the test control shows them."""
        about = {"id": self.id, "event": self.event, "about": self.about, "url": self.url}
        return {**about, "held": self.held, "arrived": self.arrived, "attempts": self.tried()}


class NoticeSender(PushSender[Notice]):
    """Sends the notices of a world."""

    schedule = SCHEDULE

    def __init__(self, world: PayWorld) -> None:
        super().__init__(world)
        self._world = world
        self.fault = NoticeFault()
        """What is wrong with every notice that names no fault of its own."""

    def notify(
        self,
        event: str,
        original_type: str,
        about: str,
        url: str,
        content: Mapping[str, Any],
        fault: NoticeFault | None,
        mode: PushMode,
    ) -> Notice:
        """Write a notice and send it, hold it or swallow it."""
        fault = fault or self.fault
        number = str(uuid.uuid4())
        body = self._written(number, event, original_type, content, fault)
        return self.dispatch(Notice(id=number, event=event, about=about, url=url, body=body, fault=fault), mode)

    def notify_in_xml(self, about: str, url: str, content: Mapping[str, str], mode: PushMode) -> Notice:
        """A refund of the console in the old form: XML, its content sealed with the v2 key, nothing signed."""
        body = _old_form(self._world, content)
        number = secrets.token_hex(16)
        return self.dispatch(Notice(id=number, event="REFUND.XML", about=about, url=url, body=body, xml=True), mode)

    def headers(self, notice: Notice, signature: SignatureFault) -> Headers:
        """The headers of an attempt made at this moment."""
        if notice.xml:
            return [("Content-Type", "text/xml")]
        signed = signed_headers(self._world.keys.for_notice(), notice.body, signature)
        agent = ("User-Agent", "Mozilla/4.0")
        return [("Content-Type", "application/json"), ("Accept", "*/*"), agent, *signed]

    def requests(self, push: Notice, *, first: bool) -> Iterator[PushRequest]:
        """One request; before the first of a probed notice the probe."""
        body = push.body[:-2] + b" " + push.body[-2:] if push.fault.tampered else push.body
        signature = push.fault.signature
        if signature == "probe":
            if first:
                yield PushRequest(self.headers(push, "probe"), body)
            signature = "none"
        yield PushRequest(self.headers(push, signature), body)

    def accepts(self, push: Notice, status: int, body: bytes) -> bool:
        """200 and 204 end the repeats."""
        return status in (200, 204)

    async def pause(self, seconds: float) -> None:
        """By the platform's schedule."""
        await self._world.wait(seconds)

    def _written(self, number: str, event: str, kind: str, content: Mapping[str, Any], fault: NoticeFault) -> bytes:
        text = fault.plaintext or msgspec.json.encode(changed(content, fault.changes)).decode()
        key = "another-key-of-just-32-letters-x" if fault.wrong_key else self._world.api_v3_key
        resource = {"original_type": kind, **seal(key, text, "" if fault.no_associated_data else kind)}
        if fault.no_associated_data:
            del resource["associated_data"]
        envelope = {
            "id": number,
            "create_time": beijing(self._world.now()),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": SUMMARIES.get(event, event),
            "resource": resource,
        }
        if fault.spaced:
            envelope = dict(reversed(envelope.items()))
        written = msgspec.json.encode(envelope)
        written = msgspec.json.format(written, indent=3) if fault.spaced else written
        return (b"\xef\xbb\xbf" if fault.bom else b"") + written


def changed(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its dotted fields replaced; None removes one."""
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content))
    for path, value in changes.items():
        *way, last = path.split(".")
        inner = result
        for step in way:
            inner = inner.setdefault(step, {})
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = value
    return result


def _old_form(world: PayWorld, content: Mapping[str, str]) -> bytes:
    """AES-256-ECB under the hex MD5 of the v2 key, as the refund notices of v2 are written."""
    padder = PKCS7(128).padder()
    inner = _xml("root", content).encode()
    key = md5(world.v2_key.encode(), usedforsecurity=False).hexdigest().encode()
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    sealed = encryptor.update(padder.update(inner) + padder.finalize()) + encryptor.finalize()
    outer = {
        "return_code": "SUCCESS",
        "appid": world.appid,
        "mch_id": world.mchid,
        "nonce_str": secrets.token_hex(16),
        "req_info": b64encode(sealed).decode(),
    }
    return _xml("xml", outer).encode()


def _xml(name: str, content: Mapping[str, str]) -> str:
    return f"<{name}>" + "".join(f"<{key}>{escape(value)}</{key}>" for key, value in content.items()) + f"</{name}>"
