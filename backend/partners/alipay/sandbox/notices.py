"""Notices of Alipay: forms, signed anew at every attempt, repeated until the answer is exactly `success`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote_plus

import aiohttp

from backend import clock
from backend.partners import sandbox_keys
from backend.partners.alipay.sandbox.world import AlipayWorld, Trade, TradeRefund, Way, wall, yuan

SCHEDULE = (240, 600, 600, 3600, 7200, 21600, 54000)
"""Seconds between the attempts: eight attempts within 25 hours, the first at once."""
WAITS = 5.0
SECOND_LINE = 0.3
"""Real seconds after which another line sends the same notice once more."""

Flaw = Literal["none", "unsigned", "bad_signature", "other_key"]
Post = Callable[[str, str, bytes], Awaitable[tuple[int, bytes]]]


@dataclass(frozen=True)
class Mishap:
    """What is wrong, or merely unusual, with a notice on purpose."""

    flaw: Flaw = "none"
    changes: Mapping[str, str | None] = field(default_factory=dict)
    """Fields to be replaced before signing; None removes one."""
    keep_sign_type: bool = False
    """Leave `sign_type` in the signed text, as some products do."""
    charset: Literal["utf-8", "GBK"] = "utf-8"
    tampered: bool = False
    """Another amount than the one that was signed."""
    stale_seconds: int = 0
    """Say that it was sent so long ago."""
    late: float = 0.0
    """Real seconds before the first attempt."""
    copies: int = 1


@dataclass
class Attempt:
    """One attempt: the body as sent, and what was answered (status and text, or the kind of failure)."""

    at: str
    body: bytes
    answer: str


@dataclass
class AlipayNotice:
    """One notice and what became of it; `id` is the same at every attempt."""

    id: str
    about: str
    url: str
    fields: dict[str, str]
    mishap: Mishap
    attempts: list[Attempt] = field(default_factory=list)
    held: bool = False

    @property
    def arrived(self) -> bool:
        """Whether it was answered with exactly `success`."""
        return any(each.answer == "200 success" for each in self.attempts)


class AlipayDesk:
    """Sends the notices of a world; `sent` keeps all of them."""

    def __init__(self, world: AlipayWorld) -> None:
        self._world = world
        self.sent: list[AlipayNotice] = []
        self.mishap = Mishap()
        self.post: Post = _post
        """How a notice is delivered: url, content type, body → status and body of the answer."""

    def tell(self, trade: Trade, refund: TradeRefund | None, mishap: Mishap | None, way: Way) -> AlipayNotice:
        """Write a notice about a trade, or about a refund of it, and send, hold or swallow it."""
        notice = AlipayNotice(secrets.token_hex(17), trade.number, trade.notify_url, {}, mishap or self.mishap)
        notice.fields = self._fields(notice, trade, refund)
        self.sent.append(notice)
        notice.held = way == "hold"
        if way == "send" and notice.url:
            self.send(notice)
        return notice

    def send(self, notice: AlipayNotice) -> None:
        """Begin (or begin again) to deliver it, in the background."""
        notice.held = False
        self._world.in_background(self._lines(notice))

    def body(self, notice: AlipayNotice) -> bytes:
        """The form as it is sent at this moment."""
        mishap, encoding = notice.mishap, "gb18030" if notice.mishap.charset == "GBK" else "utf-8"
        fields = {**notice.fields, "notify_time": wall(clock.now() - timedelta(seconds=mishap.stale_seconds))}
        for name, value in mishap.changes.items():
            fields[name] = value or ""
        without = {"sign"} if mishap.keep_sign_type else {"sign", "sign_type"}
        lines = [f"{name}={fields[name]}" for name in sorted(fields) if name not in without and fields[name] != ""]
        signature = self._signature("&".join(lines).encode(encoding), mishap.flaw)
        if mishap.tampered:
            fields["total_amount"] = "0.01"
        if signature:
            fields["sign"] = signature
        return "&".join(f"{name}={quote_plus(value, encoding=encoding)}" for name, value in fields.items()).encode()

    async def replay(self, notice: AlipayNotice) -> str:
        """Deliver the very bytes of its first attempt once more, now. What was answered."""
        return await self._attempt(notice, notice.attempts[0].body if notice.attempts else self.body(notice))

    def _signature(self, content: bytes, flaw: Flaw) -> str:
        if flaw == "unsigned":
            return ""
        key = sandbox_keys.rsa_key("alipay stranger") if flaw == "other_key" else self._world.own_key
        return sandbox_keys.sign(key, b"something else" if flaw == "bad_signature" else content)

    def _fields(self, notice: AlipayNotice, trade: Trade, refund: TradeRefund | None) -> dict[str, str]:
        paid_at = trade.paid_at or self._world.now()
        status = "TRADE_SUCCESS" if trade.paid_at is None else self._world.status(trade)
        fields = {
            "app_id": self._world.app_id,
            "notify_id": notice.id,
            "notify_type": "trade_status_sync",
            "charset": notice.mishap.charset,
            "version": "1.0",
            "sign_type": "RSA2",
            "out_trade_no": trade.number,
            "trade_no": trade.trade_no,
            "trade_status": status,
            "total_amount": yuan(trade.total_fen),
            "receipt_amount": yuan(trade.total_fen),
            "buyer_pay_amount": yuan(trade.total_fen),
            "buyer_id": trade.buyer,
            "seller_id": self._world.seller_id,
            "subject": trade.subject,
            "body": "",
            "gmt_create": wall(trade.made_at),
            "gmt_payment": wall(paid_at),
        }
        if refund is not None:
            moved = f"{wall(refund.at or self._world.now())}.000"
            told = {"refund_fee": yuan(trade.refunded_fen), "gmt_refund": moved, "out_biz_no": refund.number}
            fields |= told
        return fields

    async def _lines(self, notice: AlipayNotice) -> None:
        await asyncio.sleep(notice.mishap.late)
        await asyncio.gather(*(self._line(notice, number * SECOND_LINE) for number in range(notice.mishap.copies)))

    async def _line(self, notice: AlipayNotice, after: float) -> None:
        await asyncio.sleep(after)
        for gap in (0, *SCHEDULE):
            await asyncio.sleep(gap / self._world.rules.speed)
            if await self._attempt(notice, self.body(notice)) == "200 success":
                return

    async def _attempt(self, notice: AlipayNotice, body: bytes) -> str:
        content_type = f"application/x-www-form-urlencoded; charset={notice.mishap.charset}"
        try:
            status, text = await self.post(notice.url, content_type, body)
            answer = f"{status} {text[:64].decode('utf-8', 'replace')}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            answer = type(error).__name__
        notice.attempts.append(Attempt(clock.now().isoformat(), body, answer))
        return answer


async def _post(url: str, content_type: str, body: bytes) -> tuple[int, bytes]:
    timeout, headers = aiohttp.ClientTimeout(total=WAITS), {"Content-Type": content_type}
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read()


def noticed(notice: AlipayNotice) -> dict[str, Any]:
    """A notice as a lever shows it."""
    tried = [{"at": each.at, "answer": each.answer} for each in notice.attempts]
    about = {"id": notice.id, "about": notice.about, "url": notice.url, "status": notice.fields["trade_status"]}
    return {**about, "held": notice.held, "arrived": notice.arrived, "attempts": tried}
