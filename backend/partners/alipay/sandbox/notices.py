"""Notices of Alipay: forms, signed anew at every attempt, repeated until the answer is exactly `success`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote_plus

from backend import clock
from backend.amounts import yuan
from backend.partners import sandbox_keys
from backend.partners.alipay.sandbox.world import AlipayWorld, Trade, TradeRefund, wall
from backend.partners.push_kit import Push, PushFault, PushMode, PushRequest, PushSender

SCHEDULE = (240, 600, 600, 3600, 7200, 21600, 54000)
"""Seconds between the attempts: eight attempts within 25 hours, the first at once."""
SignatureFault = Literal["none", "unsigned", "bad_signature", "other_key"]


class NoticeFault(PushFault, frozen=True):
    """What is wrong, or merely unusual, with a notice on purpose."""

    signature: SignatureFault = "none"
    changes: dict[str, str | None] = {}
    """Fields to be replaced before signing; None removes one."""
    keep_sign_type: bool = False
    """Leave `sign_type` in the signed text, as some products do."""
    charset: Literal["utf-8", "GBK"] = "utf-8"
    tampered: bool = False
    """Another amount than the one that was signed."""
    stale_seconds: int = 0
    """State a sending time so long ago."""


@dataclass(kw_only=True)
class Notice(Push):
    """One notice about a trade; `id` is the same at every attempt."""

    fields: dict[str, str] = field(default_factory=dict)
    fault: NoticeFault = field(default_factory=NoticeFault)

    def summary(self) -> dict[str, Any]:
        """The notice and its attempts, as the test control shows them."""
        about = {"id": self.id, "about": self.about, "url": self.url, "status": self.fields["trade_status"]}
        return {**about, "held": self.held, "arrived": self.arrived, "attempts": self.tried()}


class NoticeSender(PushSender[Notice]):
    """Sends the notices of a world."""

    schedule = SCHEDULE

    def __init__(self, world: AlipayWorld) -> None:
        super().__init__(world)
        self._world = world
        self.fault = NoticeFault()
        """What is wrong with every notice that names no fault of its own."""

    def notify(self, trade: Trade, refund: TradeRefund | None, fault: NoticeFault | None, mode: PushMode) -> Notice:
        """Write a notice about a trade, or about a refund of it, and send, hold or swallow it."""
        fault = fault or self.fault
        notice = Notice(id=secrets.token_hex(17), about=trade.number, url=trade.notify_url, fault=fault)
        notice.fields = self._fields(notice, trade, refund)
        return self.dispatch(notice, mode)

    def requests(self, push: Notice, *, first: bool) -> Iterator[PushRequest]:
        """The form as it is sent at this moment."""
        content_type = f"application/x-www-form-urlencoded; charset={push.fault.charset}"
        yield PushRequest([("Content-Type", content_type)], self.body(push))

    def accepts(self, push: Notice, status: int, body: bytes) -> bool:
        """Only the very word `success` ends the repeats."""
        return self.describe(push, status, body) == "200 success"

    def describe(self, push: Notice, status: int, body: bytes) -> str:
        """Status and text."""
        return f"{status} {body[:64].decode('utf-8', 'replace')}"

    async def pause(self, seconds: float) -> None:
        """By the platform's schedule."""
        await super().pause(seconds / self._world.rules.speed)

    def body(self, notice: Notice) -> bytes:
        """The form as it is written at this moment."""
        fault, encoding = notice.fault, "gb18030" if notice.fault.charset == "GBK" else "utf-8"
        fields = {**notice.fields, "notify_time": wall(clock.now() - timedelta(seconds=fault.stale_seconds))}
        for name, value in fault.changes.items():
            fields[name] = value or ""
        without = {"sign"} if fault.keep_sign_type else {"sign", "sign_type"}
        lines = [f"{name}={fields[name]}" for name in sorted(fields) if name not in without and fields[name] != ""]
        signature = self._signature("&".join(lines).encode(encoding), fault.signature)
        if fault.tampered:
            fields["total_amount"] = "0.01"
        if signature:
            fields["sign"] = signature
        return "&".join(f"{name}={quote_plus(value, encoding=encoding)}" for name, value in fields.items()).encode()

    def _signature(self, content: bytes, fault: SignatureFault) -> str:
        if fault == "unsigned":
            return ""
        key = sandbox_keys.rsa_key("alipay stranger") if fault == "other_key" else self._world.own_key
        return sandbox_keys.sign(key, b"something else" if fault == "bad_signature" else content)

    def _fields(self, notice: Notice, trade: Trade, refund: TradeRefund | None) -> dict[str, str]:
        paid_at = trade.paid_at or self._world.now()
        status = "TRADE_SUCCESS" if trade.paid_at is None else self._world.status(trade)
        fields = {
            "app_id": self._world.app_id,
            "notify_id": notice.id,
            "notify_type": "trade_status_sync",
            "charset": notice.fault.charset,
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
            fields |= {"refund_fee": yuan(trade.refunded_fen), "gmt_refund": moved, "out_biz_no": refund.number}
        return fields
