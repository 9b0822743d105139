"""Refunds: asked for once per number, through on the platform's own time, and stuck when the payer's account is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend.partners.wechat_pay.sandbox.errors import Refusal, impossible, wrong
from backend.partners.wechat_pay.sandbox.orders import check_sub_merchant
from backend.partners.wechat_pay.sandbox.signing import opened
from backend.partners.wechat_pay.sandbox.world import Order, PayWorld, Refund, RefundState, beijing

NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}", re.ASCII)
MOST = 50
A_YEAR = timedelta(days=365)


def ask(world: PayWorld, content: Mapping[str, Any]) -> tuple[Refund, bool]:
    """POST /v3/refund/domestic/refunds: the refund, and whether it is new. Raises Refusal."""
    owner = owner_of(world, content.get("sub_mchid"))
    number = content.get("out_refund_no")
    if not isinstance(number, str) or not NUMBER.fullmatch(number):
        raise wrong("/out_refund_no", "商户退款单号应为1至64个字符")
    if not isinstance(reason := content.get("reason", ""), str) or len(reason) > 80:
        raise wrong("/reason", "退款原因最长80个字符")
    order = _paid_order(world, owner, content)
    amount = _amount(order, content)
    if (known := world.refunds.get((owner, number))) is not None:
        if known.order is not order or known.amount_fen != amount:
            raise impossible("订单金额或退款金额与之前请求不一致，请核实后再试")
        return known, False
    _check_rest(world, order, amount)
    refund = Refund(
        order=order,
        number=number,
        refund_id=world.new_refund_id(),
        amount_fen=amount,
        reason=reason,
        notify_url=str(content.get("notify_url") or world.rules.console_notify_url),
        made_at=world.now(),
    )
    add(world, refund)
    return refund, True


def add(world: PayWorld, refund: Refund) -> None:
    """Remember a refund, and take its money from the merchant."""
    world.refunds[refund.order.owner, refund.number] = refund
    refund.order.refunds.append(refund)
    if world.rules.balance_fen is not None:
        world.rules.balance_fen -= refund.amount_fen


def owner_of(world: PayWorld, sub_mchid: object) -> str:
    """Whose refunds a request speaks of: ours, or those of the sub-merchant that it names."""
    return world.mchid if sub_mchid in (None, "") else check_sub_merchant(world, sub_mchid)


def _paid_order(world: PayWorld, owner: str, content: Mapping[str, Any]) -> Order:
    transaction_id, number = content.get("transaction_id"), content.get("out_trade_no")
    if not transaction_id and not number:
        raise wrong("/out_trade_no", "微信支付订单号与商户订单号不能同时为空")
    for each in world.orders.values():
        fits = each.transaction_id == transaction_id if transaction_id else each.number == number
        if each.owner == owner and fits:
            if each.paid_at is None:
                raise impossible("订单未支付成功，不能退款")
            return each
    raise Refusal(404, "RESOURCE_NOT_EXISTS", "订单不存在")


def _amount(order: Order, content: Mapping[str, Any]) -> int:
    amount = content.get("amount")
    given = dict(amount) if isinstance(amount, Mapping) else {}
    refund, total = given.get("refund"), given.get("total")
    if type(refund) is not int or refund < 1:
        raise wrong("/amount/refund", "退款金额为大于0的整数，单位为分")
    if type(total) is not int or total != order.total_fen:
        raise wrong("/amount/total", "原订单金额与支付订单不一致")
    if given.get("currency") != "CNY":
        raise wrong("/amount/currency", "退款币种仅支持CNY")
    return refund


def _check_rest(world: PayWorld, order: Order, amount: int) -> None:
    if order.paid_at is not None and world.now() - order.paid_at > A_YEAR:
        raise impossible("交易时间超过一年的订单无法提交退款")
    if len(order.refunds) >= MOST:
        raise impossible("单笔订单最多支持50次部分退款")
    if order.given_back + amount > order.total_fen:
        raise impossible("申请退款金额大于订单剩余可退金额")
    if order.openid in world.rules.abnormal_payers:
        raise Refusal(403, "USER_ACCOUNT_ABNORMAL", "用户账户异常，退款失败")
    if world.rules.balance_fen is not None and world.rules.balance_fen < amount:
        raise Refusal(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")


def query(world: PayWorld, number: str, sub_mchid: object) -> dict[str, Any]:
    """GET /v3/refund/domestic/refunds/{out_refund_no}."""
    if (found := world.refunds.get((owner_of(world, sub_mchid), number))) is None:
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    return shown(found)


def apply_abnormal(world: PayWorld, refund_id: str, content: Mapping[str, Any], serial: str) -> Refund:
    """POST …/{refund_id}/apply-abnormal-refund: a stuck refund sets out again, to a bank card.

    Number and name of the card come sealed for the key that `serial` names. Raises Refusal.
    """
    refund = world.refund_of(refund_id)
    if refund.refund_id != refund_id or content.get("out_refund_no") != refund.number:
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    if refund.order.owner != owner_of(world, content.get("sub_mchid")):
        raise Refusal(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    kind = content.get("type")
    if kind not in ("USER_BANK_CARD", "MERCHANT_BANK_CARD"):
        raise wrong("/type", "异常退款处理方式有误")
    account = "商户" if kind == "MERCHANT_BANK_CARD" else _card(world, content, serial)
    if refund.state != "ABNORMAL":
        raise impossible("退款单状态非异常，不能发起异常退款")
    refund.state, refund.finished_at = "PROCESSING", None
    refund.account, refund.to_card = account, True
    return refund


def _card(world: PayWorld, content: Mapping[str, Any], serial: str) -> str:
    key = world.keys.opener(serial)
    try:
        number, name = opened(key, content.get("bank_account")), opened(key, content.get("real_name"))
    except ValueError:
        raise wrong("/bank_account", "收款银行卡号或姓名缺失，或解密失败") from None
    if not re.fullmatch(r"\d{8,30}", number, re.ASCII) or not name:
        raise wrong("/bank_account", "收款银行卡号有误")
    return f"{content.get('bank_type', '')}{number[-4:]}"


def finish(world: PayWorld, refund: Refund, state: RefundState) -> None:
    """A refund comes to an end; one that is closed gives the merchant its money back."""
    refund.state, refund.finished_at = state, world.now()
    if state == "CLOSED" and world.rules.balance_fen is not None:
        world.rules.balance_fen += refund.amount_fen


def shown(refund: Refund) -> dict[str, Any]:
    """The refund as the answers show it."""
    order, amount = refund.order, refund.amount_fen
    said: dict[str, Any] = {
        "refund_id": refund.refund_id,
        "out_refund_no": refund.number,
        "transaction_id": order.transaction_id,
        "out_trade_no": order.number,
        "channel": "OTHER_BANKCARD" if refund.to_card else "ORIGINAL",
        "user_received_account": refund.account,
        "create_time": beijing(refund.made_at),
        "status": refund.state,
        "funds_account": "AVAILABLE",
        "promotion_detail": [],
        "amount": {
            "total": order.total_fen,
            "refund": amount,
            "payer_total": order.total_fen,
            "payer_refund": amount,
            "settlement_total": order.total_fen,
            "settlement_refund": amount,
            "discount_refund": 0,
            "currency": "CNY",
            "from": [],
        },
    }
    if refund.state == "SUCCESS" and refund.finished_at is not None:
        said["success_time"] = beijing(refund.finished_at)
    return said


def notice_content(world: PayWorld, refund: Refund) -> dict[str, Any]:
    """The content of the notice of a refund."""
    order = refund.order
    names = {"sp_mchid": world.mchid, "sub_mchid": order.sub_mchid} if order.partner else {"mchid": world.mchid}
    said: dict[str, Any] = {
        **names,
        "transaction_id": order.transaction_id,
        "out_trade_no": order.number,
        "refund_id": refund.refund_id,
        "out_refund_no": refund.number,
        "refund_status": refund.state,
        "user_received_account": refund.account,
        "amount": {
            "total": order.total_fen,
            "refund": refund.amount_fen,
            "payer_total": order.total_fen,
            "payer_refund": refund.amount_fen,
        },
    }
    if refund.state == "SUCCESS" and refund.finished_at is not None:
        said["success_time"] = beijing(refund.finished_at)
    return said
