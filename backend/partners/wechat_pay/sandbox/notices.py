"""Notices that the platform sends: sealed, signed anew at every attempt, repeated on the official schedule until
they are answered with 200 or 204, and everything that can be wrong with them.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any
from xml.sax.saxutils import escape

import aiohttp
import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from backend import clock
from backend.partners.wechat_pay.sandbox.signing import Flaw, seal, signed_headers
from backend.partners.wechat_pay.sandbox.world import PayWorld, Way, beijing

SCHEDULE = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""Seconds between the attempts: fifteen repeats within 24 hours and 4 minutes."""
WAITS = 5.0
"""Real seconds that the platform waits for an answer."""
SECOND_LINE = 0.3
"""Real seconds after which a second line sends the same notice once more."""
SUMMARIES = {
    "TRANSACTION.SUCCESS": "支付成功",
    "REFUND.SUCCESS": "退款成功",
    "REFUND.ABNORMAL": "退款异常",
    "REFUND.CLOSED": "退款关闭",
}

Headers = list[tuple[str, str]]
Post = Callable[[str, Headers, bytes], Awaitable[int]]


@dataclass(frozen=True)
class Mishap:
    """What is wrong with a notice on purpose."""

    flaw: Flaw = "none"
    """Of the signature; `probe` comes first and is followed by the true one, the others at every attempt."""
    changes: Mapping[str, Any] = field(default_factory=dict)
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
    late: float = 0.0
    """Real seconds before the first attempt."""
    copies: int = 1
    """How many lines send it, within a second."""


@dataclass
class Attempt:
    """One attempt: the headers as sent, and the HTTP status or the kind of failure."""

    at: str
    headers: Headers
    answer: str


@dataclass
class NoticeSent:
    """One notice and what became of it."""

    id: str
    event: str
    about: str
    """Order or refund number."""
    url: str
    body: bytes
    mishap: Mishap = field(default_factory=Mishap)
    attempts: list[Attempt] = field(default_factory=list)
    held: bool = False
    xml: bool = False

    @property
    def arrived(self) -> bool:
        """Whether it was answered as taken."""
        return any(each.answer in ("200", "204") for each in self.attempts)


class NoticeDesk:
    """Sends the notices of a world; `sent` keeps all of them, the swallowed and the held ones too."""

    def __init__(self, world: PayWorld) -> None:
        self._world = world
        self.sent: list[NoticeSent] = []
        self.mishap = Mishap()
        """What is wrong with every notice that no lever speaks about."""
        self.post: Post = _post
        """How a notice is delivered: url, headers, body → HTTP status."""

    def tell(
        self,
        event: str,
        original_type: str,
        about: str,
        url: str,
        content: Mapping[str, Any],
        mishap: Mishap | None,
        way: Way,
    ) -> NoticeSent:
        """Write a notice and send it, hold it or swallow it."""
        mishap = mishap or self.mishap
        number = str(uuid.uuid4())
        body = self._written(number, event, original_type, content, mishap)
        return self._take(NoticeSent(number, event, about, url, body, mishap), way)

    def tell_in_xml(self, about: str, url: str, content: Mapping[str, str], way: Way) -> NoticeSent:
        """A refund of the console in the old form: XML, its content sealed with the v2 key, nothing signed."""
        body = _old_form(self._world, content)
        return self._take(NoticeSent(secrets.token_hex(16), "REFUND.XML", about, url, body, xml=True), way)

    def _take(self, notice: NoticeSent, way: Way) -> NoticeSent:
        self.sent.append(notice)
        notice.held = way == "hold"
        if notice.url and way == "send":
            self.send(notice)
        return notice

    def send(self, notice: NoticeSent) -> None:
        """Begin (or begin again) to deliver a notice, in the background."""
        notice.held = False
        self._world.in_background(self._lines(notice))

    def release(self, *numbers: str) -> list[NoticeSent]:
        """Send what is held: in the order of these ids or numbers, or all of it as it came."""
        held = [each for each in self.sent if each.held]
        chosen = [one for name in numbers for one in held if name in (one.id, one.about)] if numbers else held
        for notice in chosen:
            self.send(notice)
        return chosen

    async def replay(self, notice: NoticeSent, *, fresh: bool) -> str:
        """Deliver it once more, now: with the headers of its first attempt, or signed anew. What was answered."""
        old = notice.attempts[0].headers if notice.attempts and not fresh else self.headers(notice)
        return await self._attempt(notice, old)

    def headers(self, notice: NoticeSent, flaw: Flaw | None = None) -> Headers:
        """The headers of an attempt made at this moment."""
        if notice.xml:
            return [("Content-Type", "text/xml")]
        flaw = notice.mishap.flaw if flaw is None else flaw
        signed = signed_headers(self._world.keys.for_notice(), notice.body, flaw)
        agent = ("User-Agent", "Mozilla/4.0")
        return [("Content-Type", "application/json"), ("Accept", "*/*"), agent, *signed]

    async def _lines(self, notice: NoticeSent) -> None:
        await asyncio.sleep(notice.mishap.late)
        lines = [self._line(notice, number * SECOND_LINE) for number in range(notice.mishap.copies)]
        await asyncio.gather(*lines)

    async def _line(self, notice: NoticeSent, after: float) -> None:
        await asyncio.sleep(after)
        probing = notice.mishap.flaw == "probe"
        for gap in (0, *SCHEDULE):
            await self._world.wait(gap)
            if probing:
                await self._attempt(notice, self.headers(notice, "probe"))
                probing = False
            flaw: Flaw = "none" if notice.mishap.flaw == "probe" else notice.mishap.flaw
            answer = await self._attempt(notice, self.headers(notice, flaw))
            if answer in ("200", "204"):
                return

    async def _attempt(self, notice: NoticeSent, headers: Headers) -> str:
        body = notice.body[:-2] + b" " + notice.body[-2:] if notice.mishap.tampered else notice.body
        try:
            answer = str(await self.post(notice.url, headers, body))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            answer = type(error).__name__
        notice.attempts.append(Attempt(clock.now().isoformat(), headers, answer))
        return answer

    def _written(self, number: str, event: str, kind: str, content: Mapping[str, Any], mishap: Mishap) -> bytes:
        text = mishap.plaintext or msgspec.json.encode(changed(content, mishap.changes)).decode()
        key = "another-key-of-just-32-letters-x" if mishap.wrong_key else self._world.api_v3_key
        resource = {"original_type": kind, **seal(key, text, "" if mishap.no_associated_data else kind)}
        if mishap.no_associated_data:
            del resource["associated_data"]
        envelope = {
            "id": number,
            "create_time": beijing(self._world.now()),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": SUMMARIES.get(event, event),
            "resource": resource,
        }
        if mishap.spaced:
            envelope = dict(reversed(envelope.items()))
        written = msgspec.json.encode(envelope)
        written = msgspec.json.format(written, indent=3) if mishap.spaced else written
        return (b"\xef\xbb\xbf" if mishap.bom else b"") + written


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


async def _post(url: str, headers: Headers, body: bytes) -> int:
    timeout = aiohttp.ClientTimeout(total=WAITS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        await answer.read()
        return answer.status


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
