"""The bill of a day: asked for from ten o'clock of the next, a file with a hash, and what can be wrong with it."""

from __future__ import annotations

import gzip
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from msgspec import Struct

from backend import clock
from backend.partners.wechat_pay.sandbox.errors import Refusal, impossible, wrong
from backend.partners.wechat_pay.sandbox.refunds import owner_of
from backend.partners.wechat_pay.sandbox.world import Order, PayWorld, Refund, day_of

READY = time(10)
KEPT = timedelta(days=92)
LINK_LIVES = timedelta(minutes=5)
KINDS = ("ALL", "SUCCESS", "REFUND")
_BEFORE = [
    "交易时间",
    "公众账号ID",
    "商户号",
    "特约商户号",
    "设备号",
    "微信订单号",
    "商户订单号",
    "用户标识",
    "交易类型",
]
_BEFORE += ["交易状态", "付款银行", "货币种类", "应结订单金额", "代金券金额"]
_REFUND = ["微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态"]
_REFUNDED_AT = ["退款申请时间", "退款成功时间"]
_AFTER = ["商品名称", "商户数据包", "手续费", "费率", "订单金额"]
COLUMNS = {
    "ALL": [*_BEFORE, *_REFUND, *_AFTER, "申请退款金额", "费率备注"],
    "SUCCESS": [*_BEFORE, *_AFTER, "费率备注"],
    "REFUND": [*_BEFORE, *_REFUNDED_AT, *_REFUND, *_AFTER, "申请退款金额", "费率备注"],
}
_SUMMED = ["应结订单金额", "退款金额", "充值券退款金额", "手续费", "订单金额", "申请退款金额"]
SUMMARY = ["总交易单数", "应结订单总金额", "退款总金额", "充值券退款总金额", "手续费总金额", "订单总金额"]
SUMMARY += ["申请退款总金额"]
RATE = Decimal("0.006")


class BillFault(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is wrong with every bill until a test changes it."""

    creating: bool = False
    """Answer that the bill is not made yet."""
    bad_hash: bool = False
    bom: bool = False
    crlf: bool = False
    wrong_sums: bool = False
    missing: set[str] = set()
    """Order or refund numbers that are left out."""
    foreign: list[dict[str, Any]] = []
    """Payments that were never made: `out_trade_no`, `amount_fen`, and what else to write instead."""
    amounts: dict[str, int] = {}
    """Order number → fen that the bill shows instead."""


@dataclass
class Link:
    """A file to be fetched."""

    content: bytes
    good_until: datetime


@dataclass
class BillOffice:
    """Bills that can be fetched, by token."""

    fault: BillFault = field(default_factory=BillFault)
    links: dict[str, Link] = field(default_factory=dict)

    def ask(self, world: PayWorld, given: Mapping[str, str], origin: str) -> dict[str, Any]:
        """GET /v3/bill/tradebill. Raises Refusal."""
        kind, packed = given.get("bill_type", "ALL"), given.get("tar_type", "")
        if kind not in KINDS:
            raise wrong("/bill_type", "账单类型有误")
        if packed not in ("", "GZIP"):
            raise wrong("/tar_type", "压缩类型有误")
        day = self._day(world, given.get("bill_date", ""))
        text = self.written(world, day, kind, owner_of(world, given.get("sub_mchid")), by_sub="sub_mchid" in given)
        token = secrets.token_urlsafe(24)
        self.links[token] = Link(gzip.compress(text) if packed else text, world.now() + LINK_LIVES)
        digest = hashlib.sha1(text + (b"!" if self.fault.bad_hash else b""), usedforsecurity=False).hexdigest()
        url = f"{origin}/v3/billdownload/file?token={token}"
        return {"hash_type": "SHA1", "hash_value": digest, "download_url": url}

    def _day(self, world: PayWorld, text: str) -> date:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise wrong("/bill_date", "账单日期格式为yyyy-MM-dd") from None
        if day >= day_of(world.now()) or world.now() - ready_at(day) > KEPT:
            raise impossible("账单日期应在最近三个月内，且早于今日")
        if self.fault.creating or world.now() < ready_at(day):
            raise Refusal(400, "STATEMENT_CREATING", "账单生成中，请稍后再试")
        return day

    def fetch(self, world: PayWorld, token: str) -> bytes:
        """GET /v3/billdownload/file. Raises Refusal when the link is old."""
        link = self.links.get(token)
        if link is None or world.now() > link.good_until:
            raise Refusal(400, "INVALID_REQUEST", "下载链接已失效，请重新申请账单")
        return link.content

    def written(self, world: PayWorld, day: date, kind: str, owner: str, *, by_sub: bool) -> bytes:
        """The file. Raises Refusal NO_STATEMENT_EXIST when nothing moved."""
        rows = [row for row in self._rows(world, day) if kind in ("ALL", row["交易状态"])]
        if by_sub:
            rows = [row for row in rows if row["特约商户号"] == owner]
        if not rows:
            raise Refusal(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        rows.sort(key=lambda row: row["交易时间"])
        lines = [",".join(COLUMNS[kind])]
        lines += [",".join("`" + row.get(name, "") for name in COLUMNS[kind]) for row in rows]
        lines += [",".join(SUMMARY), ",".join("`" + each for each in self._sums(rows))]
        text = ("\r\n" if self.fault.crlf else "\n").join([*lines, ""])
        return (b"\xef\xbb\xbf" if self.fault.bom else b"") + text.encode()

    def _rows(self, world: PayWorld, day: date) -> list[dict[str, str]]:
        fault = self.fault
        paid = [o for o in world.orders.values() if o.paid_at and day_of(o.paid_at) == day]
        asked = [r for r in world.refunds.values() if day_of(r.made_at) == day]
        return [
            *(_payment_row(world, o, fault) for o in paid if o.number not in fault.missing),
            *(_refund_row(world, r, ready_at(day)) for r in asked if r.number not in fault.missing),
            *(_foreign_row(world, day, each) for each in fault.foreign),
        ]

    def _sums(self, rows: list[dict[str, str]]) -> list[str]:
        def total(name: str) -> Decimal:
            return sum((Decimal(row[name]) for row in rows), Decimal("0.00"))

        extra = 1 if self.fault.wrong_sums else 0
        return [str(len(rows)), *(str(total(name) + extra) for name in _SUMMED)]


def ready_at(day: date) -> datetime:
    """When the bill of a day can be fetched."""
    return datetime.combine(day + timedelta(days=1), READY, clock.SHANGHAI)


def yuan(fen: int) -> str:
    """Two decimals."""
    return str(Decimal(fen).scaleb(-2).quantize(Decimal("0.01")))


def charge(fen: int) -> str:
    """The fee on an amount, whole fen, five decimals."""
    return str((Decimal(fen).scaleb(-2) * RATE).quantize(Decimal("0.01"), ROUND_HALF_UP).quantize(Decimal("0.00000")))


def _wall(moment: datetime) -> str:
    return moment.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _common(world: PayWorld, order: Order) -> dict[str, str]:
    zero = dict.fromkeys([*_SUMMED, "代金券金额"], "0.00")
    return zero | {
        "公众账号ID": world.appid,
        "商户号": world.mchid,
        "特约商户号": order.sub_mchid or "0",
        "微信订单号": order.transaction_id,
        "商户订单号": order.number,
        "用户标识": order.openid,
        "交易类型": "JSAPI",
        "付款银行": "OTHERS",
        "货币种类": "CNY",
        "微信退款单号": "0",
        "商户退款单号": "0",
        "商品名称": str(order.asked.get("description", "")),
        "商户数据包": str(order.asked.get("attach", "")),
        "费率": "0.60%",
    }


def _payment_row(world: PayWorld, order: Order, fault: BillFault) -> dict[str, str]:
    paid_at, fen = order.paid_at or order.made_at, fault.amounts.get(order.number, order.total_fen)
    return _common(world, order) | {
        "交易时间": _wall(paid_at),
        "交易状态": "SUCCESS",
        "应结订单金额": yuan(fen),
        "手续费": charge(fen),
        "订单金额": yuan(fen),
    }


def _refund_row(world: PayWorld, refund: Refund, made: datetime) -> dict[str, str]:
    """The state is that of the hour in which the bill was made; what came later is not in it."""
    through = refund.finished_at is not None and refund.finished_at <= made
    return _common(world, refund.order) | {
        "交易时间": _wall(refund.made_at),
        "交易状态": "REFUND",
        "退款申请时间": _wall(refund.made_at),
        "退款成功时间": _wall(refund.finished_at) if through and refund.finished_at else "",
        "微信退款单号": refund.refund_id,
        "商户退款单号": refund.number,
        "退款金额": yuan(refund.amount_fen),
        "退款类型": "ORIGINAL",
        "退款状态": refund.state if through else "PROCESSING",
        "手续费": "-" + charge(refund.amount_fen),
        "申请退款金额": yuan(refund.amount_fen),
    }


def _foreign_row(world: PayWorld, day: date, given: Mapping[str, Any]) -> dict[str, str]:
    noon = datetime.combine(day, time(12), clock.SHANGHAI)
    stranger = Order(
        owner=world.mchid,
        number=str(given["out_trade_no"]),
        asked={"description": "其他系统订单", **given},
        partner=bool(given.get("sub_mchid")),
        openid="oStranger",
        total_fen=int(given["amount_fen"]),
        notify_url="",
        made_at=noon,
        expires_at=noon,
        prepay_id="",
        prepay_at=noon,
        paid_at=noon,
        transaction_id=str(given.get("transaction_id", "4299999999999999999999999999")),
    )
    return _payment_row(world, stranger, BillFault())
