"""The live adapter of a test, and what it asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from backend import clock
from backend.partners.base import Wire
from backend.partners.paying.port import (
    OrderRequest,
    PayerCard,
    RefundRequest,
)
from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.live import LiveWeChatPay
from backend.settings import settings

NUMBER = "P20260101BCDFGHJKLMNPQRST"
PAYER = "oTEST0000000000000000000001"
CARD = PayerCard(bank="ICBC_DEBIT", number="6222020000000000000", name="张三")
SUB = "1900000200"


def an_order(number: str = NUMBER, **changes: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "number": number,
        "description": "居住证工本费",
        "amount_fen": 1500,
        "payer": PAYER,
        "expires_at": clock.now() + timedelta(minutes=30),
        **changes,
    }
    return OrderRequest(**values)


def a_refund(number: str = f"R{NUMBER}01", amount: int = 1500, **changes: Any) -> RefundRequest:
    values: dict[str, Any] = {
        "number": number,
        "payment_number": NUMBER,
        "transaction_id": None,
        "amount_fen": amount,
        "total_fen": 1500,
        "reason": "申请撤回",
        **changes,
    }
    return RefundRequest(**values)


def with_certificates(wire: Wire, **changes: Any) -> LiveWeChatPay:
    """A merchant who has no public key of the console."""
    values = {"wechat_pay_public_key_id": "", "wechat_pay_public_key": "", **changes}
    return LiveWeChatPay(wire, replace(settings(), **values))


async def paid(sandbox: Sandbox, channel: LiveWeChatPay) -> str:
    await channel.place(an_order())
    return sandbox.pay.pay(NUMBER).transaction_id


def calls(sandbox: Sandbox, name: str) -> int:
    return sum(call == name for call, _ in sandbox.pay.world.calls)
