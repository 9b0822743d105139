"""Orders: asked for, looked up, closed, paid. Direct and partner mode differ in the names of their fields only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backend.partners.wechat_pay.sandbox.errors import Refusal, impossible, wrong
from backend.partners.wechat_pay.sandbox.world import ORDER_LIVES, PREPAY_LIVES, Order, PayWorld, beijing

NUMBER = re.compile(r"[0-9A-Za-z_\-|*]{6,32}", re.ASCII)
DESCRIBED = {
    "NOTPAY": "订单未支付",
    "SUCCESS": "支付成功",
    "REFUND": "订单发生过退款，退款详情请查询退款单",
    "CLOSED": "订单已关闭",
}


def place(world: PayWorld, content: Mapping[str, Any], *, partner: bool) -> dict[str, Any]:
    """POST /v3/pay/transactions/jsapi and its partner form."""
    owner, openid = _whose(world, content, partner=partner)
    _check_texts(content)
    _check_url(world, content.get("notify_url"))
    total = _total(content)
    number = str(content["out_trade_no"])
    known = world.orders.get((owner, number))
    if known is not None:
        return {"prepay_id": _again(world, known, content)}
    expires_at = _expiry(world, content)
    order = Order(
        owner=owner,
        number=number,
        asked=dict(content),
        partner=partner,
        openid=openid,
        total_fen=total,
        notify_url=str(content["notify_url"]),
        made_at=world.now(),
        expires_at=expires_at,
        prepay_id=world.new_prepay_id(),
        prepay_at=world.now(),
    )
    world.orders[owner, number] = order
    return {"prepay_id": order.prepay_id}


def _again(world: PayWorld, order: Order, content: Mapping[str, Any]) -> str:
    state = world.state(order)
    if state in ("SUCCESS", "REFUND"):
        if world.rules.paid_says == "INVALID_REQUEST" and dict(content) == order.asked:
            raise impossible("该订单已支付")
        raise Refusal(403, "OUT_TRADE_NO_USED", "商户订单号重复")
    if dict(content) != order.asked:
        raise impossible("请求重入时，参数与首次请求时不一致，请检查请求参数")
    if state == "CLOSED":
        raise Refusal(400, "ORDER_CLOSED", "该订单已关闭")
    if world.now() - order.prepay_at >= PREPAY_LIVES:
        order.prepay_id, order.prepay_at = world.new_prepay_id(), world.now()
    return order.prepay_id


def _whose(world: PayWorld, content: Mapping[str, Any], *, partner: bool) -> tuple[str, str]:
    """Owner of the number and openid of the payer, after the names of both sides were compared."""
    prefix = "sp_" if partner else ""
    if content.get(f"{prefix}mchid") != world.mchid:
        raise wrong(f"/{prefix}mchid", "商户号与签名商户号不一致")
    if content.get(f"{prefix}appid") != world.appid:
        raise Refusal(400, "APPID_MCHID_NOT_MATCH", "AppID与商户号不匹配")
    owner = check_sub_merchant(world, content.get("sub_mchid")) if partner else world.mchid
    payer = content.get("payer")
    openid = payer.get(f"{prefix}openid") if isinstance(payer, Mapping) else None
    if partner and openid is None and isinstance(payer, Mapping) and content.get("sub_appid"):
        openid = payer.get("sub_openid")
    if not isinstance(openid, str) or not re.fullmatch(r"[0-9A-Za-z_\-]{1,128}", openid):
        raise wrong(f"/payer/{prefix}openid", "无效的openid")
    if world.is_foreign(openid):
        raise Refusal(500, "OPENID_MISMATCH", "openid和appid不匹配")
    return owner, openid


def check_sub_merchant(world: PayWorld, given: object) -> str:
    """The sub-merchant, when it trusts us. Raises Refusal."""
    if not isinstance(given, str) or not re.fullmatch(r"\d{8,10}", given, re.ASCII):
        raise wrong("/sub_mchid", "特约商户号格式有误")
    if world.sub_merchants and given not in world.sub_merchants:
        raise Refusal(403, "NO_AUTH", "特约商户未授权")
    return given


def _check_texts(content: Mapping[str, Any]) -> None:
    description, number, attach = content.get("description"), content.get("out_trade_no"), content.get("attach", "")
    if not isinstance(description, str) or not 1 <= len(description) <= 127:
        raise wrong("/description", "商品描述长度应为1至127个字符")
    if not isinstance(number, str) or not NUMBER.fullmatch(number):
        raise wrong("/out_trade_no", "商户订单号应为6至32个字符，只能是数字、大小写字母及_-|*")
    if not isinstance(attach, str) or len(attach) > 128:
        raise wrong("/attach", "附加数据最长128个字符")


def _check_url(world: PayWorld, url: object) -> None:
    allowed = ("https://", "http://") if world.rules.insecure_notify_url else ("https://",)
    if not isinstance(url, str) or len(url) > 255 or not url.startswith(allowed) or "?" in url or "#" in url:
        raise wrong("/notify_url", "通知地址必须为https，且不能携带参数")


def _total(content: Mapping[str, Any]) -> int:
    amount = content.get("amount")
    total = amount.get("total") if isinstance(amount, Mapping) else None
    if type(total) is not int or total < 1:
        raise wrong("/amount/total", "订单总金额为大于0的整数，单位为分")
    if isinstance(amount, Mapping) and amount.get("currency", "CNY") != "CNY":
        raise wrong("/amount/currency", "货币类型仅支持CNY")
    return total


def _expiry(world: PayWorld, content: Mapping[str, Any]) -> datetime:
    if (given := content.get("time_expire")) is None:
        return world.now() + ORDER_LIVES
    try:
        moment = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in given:
        raise wrong("/time_expire", "支付结束时间应遵循rfc3339标准格式")
    if not world.now() < moment <= world.now() + ORDER_LIVES:
        raise wrong("/time_expire", "支付结束时间应晚于当前时间，且不超过7天")
    return moment


def owner_of(world: PayWorld, given: Mapping[str, Any], *, partner: bool) -> str:
    """Whose numbers a query or a close speaks of. Raises Refusal."""
    name = "sp_mchid" if partner else "mchid"
    if not given.get(name):
        raise wrong(f"/{name}", "缺少商户号")
    if given[name] != world.mchid:
        raise Refusal(403, "NO_AUTH", "无权操作该商户号的订单")
    return check_sub_merchant(world, given.get("sub_mchid")) if partner else world.mchid


def query(
    world: PayWorld, given: Mapping[str, Any], *, partner: bool, number: str = "", transaction_id: str = ""
) -> dict[str, Any]:
    """GET by our number, or by WeChat's once it is paid."""
    owner = owner_of(world, given, partner=partner)
    mine = [each for each in world.orders.values() if each.owner == owner and each.partner == partner]
    for each in mine:
        if each.number == number if number else each.transaction_id == transaction_id:
            return shown(world, each)
    raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")


def close(world: PayWorld, given: Mapping[str, Any], *, partner: bool, number: str) -> None:
    """POST …/close: repeating is fine, a paid order stays as it is."""
    order = world.order(owner_of(world, given, partner=partner), number)
    if order.partner != partner:
        raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")
    if order.paid_at is not None:
        raise impossible("该订单已支付，无法关闭")
    order.closed = True


def shown(world: PayWorld, order: Order) -> dict[str, Any]:
    """The order as a query and a notice show it."""
    state = world.state(order)
    described = order.last_try if state == "NOTPAY" and order.last_try else DESCRIBED[state]
    said: dict[str, Any] = {**_names(world, order), "out_trade_no": order.number}
    if order.paid_at is not None:
        said |= {"transaction_id": order.transaction_id, "trade_type": "JSAPI", "bank_type": "OTHERS"}
        said["success_time"] = beijing(order.paid_at)
    said |= {"trade_state": state, "trade_state_desc": described, "attach": str(order.asked.get("attach", ""))}
    amount = {"total": order.total_fen, "currency": "CNY"}
    if order.paid_at is not None:
        amount |= {"payer_total": order.total_fen, "payer_currency": "CNY"}
    return {**said, "payer": _payer(order), "amount": amount}


def _names(world: PayWorld, order: Order) -> dict[str, str]:
    if not order.partner:
        return {"mchid": world.mchid, "appid": world.appid}
    names = {"sp_mchid": world.mchid, "sp_appid": world.appid, "sub_mchid": order.sub_mchid}
    return {**names, "sub_appid": str(order.asked["sub_appid"])} if order.asked.get("sub_appid") else names


def _payer(order: Order) -> dict[str, str]:
    return {"sp_openid": order.openid} if order.partner else {"openid": order.openid}


def pay(world: PayWorld, order: Order, *, force: bool = False, total_fen: int | None = None) -> None:
    """The payer pays. `force`: although it is closed, as when a bank confirms late; `total_fen`: with another amount.

    Raises Refusal when it cannot be paid.
    """
    if order.paid_at is not None:
        raise impossible("该订单已支付")
    if world.state(order) == "CLOSED" and not force:
        raise Refusal(400, "ORDER_CLOSED", "该订单已关闭")
    if total_fen is not None:
        order.total_fen = total_fen
    order.paid_at, order.transaction_id = world.now(), world.new_transaction_id()
    if world.rules.balance_fen is not None:
        world.rules.balance_fen += order.total_fen
