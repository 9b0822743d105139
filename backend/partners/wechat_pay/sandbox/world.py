"""Everything the simulated WeChat Pay remembers, in memory, with a clock of its own that can be moved.

Signatures and their timestamps always go by the true clock; only what happens to orders, refunds and bills follows
the clock that a test moves, so that a moved sandbox can still be spoken to.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from backend import clock
from backend.partners import sandbox_keys, simulated
from backend.partners.own_time import OwnTime
from backend.partners.push_kit import PushMode
from backend.partners.wechat_pay.sandbox.errors import Refusal
from backend.partners.wechat_pay.sandbox.keyring import Keyring
from backend.settings import Settings

ORDER_LIVES = timedelta(days=7)
PREPAY_LIVES = timedelta(hours=2)
TradeState = Literal["NOTPAY", "SUCCESS", "REFUND", "CLOSED"]
RefundState = Literal["PROCESSING", "SUCCESS", "ABNORMAL", "CLOSED"]

DEFAULTS = {name: value for name, value in simulated.MONEY.items() if name.startswith("wechat_pay_")}
"""What the merchant is called and keyed where the settings say nothing."""


@dataclass
class Refund:
    """One refund. Without `notify_url` no notice is sent."""

    order: Order
    number: str
    refund_id: str
    amount_fen: int
    reason: str
    notify_url: str
    made_at: datetime
    by_console: bool = False
    state: RefundState = "PROCESSING"
    finished_at: datetime | None = None
    account: str = "支付用户零钱"
    to_card: bool = False


@dataclass
class Order:
    """One order of the merchant, or of a sub-merchant in partner mode."""

    owner: str
    """Whose numbers it counts among: the merchant, or the sub-merchant."""
    number: str
    asked: dict[str, Any]
    """The content of the request, to be compared with a repeated one."""
    partner: bool
    openid: str
    total_fen: int
    notify_url: str
    made_at: datetime
    expires_at: datetime
    prepay_id: str
    prepay_at: datetime
    closed: bool = False
    paid_at: datetime | None = None
    transaction_id: str = ""
    last_try: str = ""
    """Why the last attempt to pay failed."""
    refunds: list[Refund] = field(default_factory=list)

    @property
    def sub_mchid(self) -> str:
        """The sub-merchant; empty in direct mode."""
        return str(self.asked.get("sub_mchid", ""))

    @property
    def given_back(self) -> int:
        """Fen that went back or are on their way."""
        return sum(each.amount_fen for each in self.refunds if each.state != "CLOSED")


class Rules(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the platform behaves until a test changes it."""

    speed: float = 60.0
    """How many seconds of its schedules pass in a real second."""
    notices: PushMode = "send"
    """What becomes of notices that no test asked for expressly."""
    refund_seconds: float | None = 60.0
    """How long a refund takes on its schedule; None means until a test ends it."""
    refund_outcome: RefundState = "SUCCESS"
    balance_fen: int | None = None
    """What the merchant can refund from; None means enough."""
    abnormal_payers: set[str] = set()
    """Openids to whose account nothing can go back."""
    console_notify_url: str = ""
    """Where notices of refunds go that named no address themselves."""
    insecure_notify_url: bool = True
    """Take an address without TLS, which WeChat Pay refuses."""
    paid_says: Literal["OUT_TRADE_NO_USED", "INVALID_REQUEST"] = "INVALID_REQUEST"
    """The answer to a repeated request for a paid order; with another content it is always the first."""


class CallFault(Struct, forbid_unknown_fields=True):
    """The next `times` calls of an operation (`*`: any) are refused; with `after` the work is done all the same."""

    operation: str = "*"
    status: int = 500
    code: str = "SYSTEM_ERROR"
    times: int = 1
    after: bool = False


class PayWorld(OwnTime):
    """The platform's state."""

    def __init__(self, values: Settings, *, is_foreign: Callable[[str], bool] = lambda _: False) -> None:
        super().__init__()
        named = {name: getattr(values, name) or DEFAULTS[name] for name in DEFAULTS}
        self.mchid = named["wechat_pay_mchid"]
        self.appid = values.wechat_pay_appid or values.wechat_appid or "wx5a68616e6762616e"
        self.api_v3_key = named["wechat_pay_api_v3_key"]
        self.v2_key = named["wechat_pay_v2_key"]
        self.merchant = sandbox_keys.certificate("wechat-pay merchant")
        self.merchant_serial = self.merchant.serial
        self.merchant_key = self.merchant.key.public_key()
        self.sub_merchants = {
            each.partition("=")[2].strip() for each in values.wechat_pay_sub_merchants.split(",") if "=" in each
        }
        """The sub-merchants that trust us; empty means that any does."""
        self.is_foreign = is_foreign
        """Whether an openid is known to belong to another app."""
        self.rules = Rules()
        self.keys = Keyring()
        self.orders: dict[tuple[str, str], Order] = {}
        self.refunds: dict[tuple[str, str], Refund] = {}
        self.faults: list[CallFault] = []
        self.nonces: set[str] = set()
        self.calls: list[tuple[str, int]] = []
        """Operation and status of every call, in order."""
        self._ids = itertools.count(1)

    # -- orders ----------------------------------------------------------------------------------

    def order(self, owner: str, number: str) -> Order:
        """Raises Refusal ORDER_NOT_EXIST."""
        if (found := self.orders.get((owner, number))) is None:
            raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")
        return found

    def order_of(self, name: str) -> Order:
        """The order of this number, prepay id or transaction id, of any merchant. Raises Refusal ORDER_NOT_EXIST."""
        for each in self.orders.values():
            if name and name in (each.number, each.prepay_id, each.transaction_id):
                return each
        raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")

    def state(self, order: Order) -> TradeState:
        """The state of an order now; an order not paid in time is closed."""
        if order.paid_at is not None:
            return "REFUND" if order.refunds else "SUCCESS"
        return "CLOSED" if order.closed or self.now() >= order.expires_at else "NOTPAY"

    def refund_of(self, name: str) -> Refund:
        """The refund of this number or WeChat's id, of any merchant. Raises Refusal RESOURCE_NOT_EXISTS."""
        for each in self.refunds.values():
            if name in (each.number, each.refund_id):
                return each
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")

    # -- numbers ---------------------------------------------------------------------------------

    def new_prepay_id(self) -> str:
        """As WeChat writes them."""
        return f"wx{self._stamp()}{secrets.token_hex(9)}"

    def new_transaction_id(self) -> str:
        """28 digits."""
        return f"42000{self._stamp()[:8]}{next(self._ids):015d}"

    def new_refund_id(self) -> str:
        """29 digits."""
        return f"50000{self._stamp()[:8]}{next(self._ids):016d}"

    def _stamp(self) -> str:
        return self.now().astimezone(clock.SHANGHAI).strftime("%Y%m%d%H%M%S")

    # -- what comes later ------------------------------------------------------------------------

    async def wait(self, seconds: float) -> None:
        """Let seconds of the platform's schedules pass."""
        await asyncio.sleep(seconds / self.rules.speed)

    def take_fault(self, operation: str) -> CallFault | None:
        """The fault of this call, if a test set one."""
        for each in self.faults:
            if each.operation in ("*", operation):
                each.times -= 1
                if each.times <= 0:
                    self.faults.remove(each)
                return each
        return None

    # -- for a comparison ---------------------------------------------------------------------------

    def ledger(self) -> list[dict[str, Any]]:
        """Every yuan that moved, in fen, oldest first. A refund's state shows whether it ended."""
        rows = [_paid_row(self, each) for each in self.orders.values() if each.paid_at is not None]
        rows += [_refund_row(self, each) for each in self.refunds.values()]
        return sorted(rows, key=lambda row: str(row["at"]))


def beijing(moment: datetime) -> str:
    """RFC 3339 with +08:00 and whole seconds."""
    return moment.astimezone(clock.SHANGHAI).isoformat(timespec="seconds")


def day_of(moment: datetime) -> date:
    """The day of the bill that a moment belongs to."""
    return clock.day_of(moment)


def _paid_row(world: PayWorld, order: Order) -> dict[str, Any]:
    return {
        "kind": "payment",
        "out_trade_no": order.number,
        "transaction_id": order.transaction_id,
        "mchid": world.mchid,
        "sub_mchid": order.sub_mchid,
        "appid": world.appid,
        "openid": order.openid,
        "amount_fen": order.total_fen,
        "refunded_fen": sum(each.amount_fen for each in order.refunds if each.state == "SUCCESS"),
        "currency": "CNY",
        "state": world.state(order),
        "at": order.paid_at and beijing(order.paid_at),
    }


def _refund_row(world: PayWorld, refund: Refund) -> dict[str, Any]:
    return {
        "kind": "refund",
        "out_trade_no": refund.order.number,
        "transaction_id": refund.order.transaction_id,
        "out_refund_no": refund.number,
        "refund_id": refund.refund_id,
        "mchid": world.mchid,
        "sub_mchid": refund.order.sub_mchid,
        "amount_fen": refund.amount_fen,
        "currency": "CNY",
        "state": refund.state,
        "by_console": refund.by_console,
        "at": beijing(refund.made_at),
    }
