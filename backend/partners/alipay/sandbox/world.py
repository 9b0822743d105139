"""What the simulated Alipay remembers, in memory, with a clock of its own that can be moved.

Only what happens to trades follows the moved clock; times inside signatures are true.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from backend import clock
from backend.partners import sandbox_keys, simulated
from backend.partners.own_time import OwnTime
from backend.partners.push_kit import PushMode
from backend.settings import Settings

TRADE_LIVES = timedelta(days=15)
TradeStatus = Literal["WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_CLOSED", "TRADE_FINISHED"]

DEFAULTS = {name: value for name, value in simulated.MONEY.items() if name.startswith("alipay_")}
"""What the app and the merchant are called where the settings say nothing."""


class Failure(Exception):
    """A refusal of the gateway: `code` of the outside, `sub_code` of the business."""

    def __init__(self, sub_code: str, message: str, *, code: str = "40004") -> None:
        super().__init__(f"{code} {sub_code} {message}")
        self.code = code
        self.sub_code = sub_code
        self.message = message

    def body(self) -> dict[str, str]:
        """The member that answers."""
        outside = {"40004": "Business Failed", "40002": "Invalid Arguments", "20000": "Service Currently Unavailable"}
        names = {"code": self.code, "msg": outside.get(self.code, "Invalid Arguments")}
        return {**names, "sub_code": self.sub_code, "sub_msg": self.message}


@dataclass
class TradeRefund:
    """One refund of a trade; `at` is None while it is held."""

    number: str
    fen: int
    reason: str
    at: datetime | None


@dataclass
class Trade:
    """One trade; it exists from the moment its order string is opened."""

    number: str
    trade_no: str
    total_fen: int
    subject: str
    buyer: str
    notify_url: str
    made_at: datetime
    expires_at: datetime
    closed: bool = False
    finished: bool = False
    paid_at: datetime | None = None
    refunds: list[TradeRefund] = field(default_factory=list)

    @property
    def refunded_fen(self) -> int:
        """Fen refunded so far."""
        return sum(each.fen for each in self.refunds if each.at is not None)


class Rules(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the platform behaves until a test changes it."""

    speed: float = 60.0
    """How many seconds of its schedules pass in a real second."""
    notices: PushMode = "send"
    hold_refunds: bool = False
    """Take refunds and carry them out only when a test does."""
    balance_fen: int | None = None
    """What the merchant can refund from; None means enough."""


class AlipayWorld(OwnTime):
    """The platform's state."""

    def __init__(self, values: Settings) -> None:
        super().__init__()
        named = {name: getattr(values, name) or DEFAULTS[name] for name in DEFAULTS}
        self.app_id, self.seller_id = named["alipay_app_id"], named["alipay_seller_id"]
        self.app_key = sandbox_keys.rsa_key("alipay app")
        self.own_key = sandbox_keys.rsa_key("alipay platform")
        self.rules = Rules()
        self.trades: dict[str, Trade] = {}
        self.calls: list[tuple[str, str]] = []
        """Method and code of every call, in order."""
        self.failures: list[tuple[str, Failure]] = []
        """Method (`*`: any) and what its next call is answered with."""
        self._ids = itertools.count(1)

    def next_id(self) -> str:
        """28 digits that begin with the day."""
        return f"{self.now().astimezone(clock.SHANGHAI):%Y%m%d}2200{next(self._ids):016d}"

    def status(self, trade: Trade) -> TradeStatus:
        """The status of a trade now."""
        if trade.paid_at is not None:
            if trade.refunded_fen >= trade.total_fen:
                return "TRADE_CLOSED"
            return "TRADE_FINISHED" if trade.finished else "TRADE_SUCCESS"
        return "TRADE_CLOSED" if trade.closed or self.now() >= trade.expires_at else "WAIT_BUYER_PAY"

    def trade_of(self, given: Mapping[str, Any]) -> Trade:
        """The trade that a content names by our number or by theirs. Raises Failure."""
        number, trade_no = given.get("out_trade_no"), given.get("trade_no")
        if not number and not trade_no:
            raise Failure("ACQ.INVALID_PARAMETER", "参数有误：out_trade_no和trade_no不能同时为空")
        for each in self.trades.values():
            if trade_no == each.trade_no if trade_no else number == each.number:
                return each
        raise Failure("ACQ.TRADE_NOT_EXIST", "交易不存在")

    def ledger(self) -> list[dict[str, Any]]:
        """Every yuan that moved, in fen: payments and refunds, oldest first."""
        rows: list[dict[str, Any]] = []
        for each in self.trades.values():
            if each.paid_at is None:
                continue
            names = {"out_trade_no": each.number, "trade_no": each.trade_no, "seller_id": self.seller_id}
            paid = {"amount_fen": each.total_fen, "refunded_fen": each.refunded_fen, "state": self.status(each)}
            rows.append({"kind": "payment", **names, **paid, "at": wall(each.paid_at)})
            for refund in each.refunds:
                about = {"out_request_no": refund.number, "amount_fen": refund.fen}
                rows.append({"kind": "refund", **names, **about, "at": refund.at and wall(refund.at)})
        return sorted(rows, key=lambda row: row["at"] or "~")


def wall(moment: datetime) -> str:
    """`yyyy-MM-dd HH:mm:ss` in China."""
    return moment.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
