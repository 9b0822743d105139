"""Every call of Alipay's gateway: trades opened by an app, looked up, closed and refunded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from backend import clock
from backend.amounts import yuan
from backend.partners.alipay.sandbox.world import TRADE_LIVES, AlipayWorld, Failure, Trade, TradeRefund, wall
from backend.partners.sandbox_keys import is_signed, sign

NUMBER = re.compile(r"[0-9A-Za-z_\-]{1,64}", re.ASCII)
YUAN = re.compile(r"(\d{1,9})(?:\.(\d{1,2}))?", re.ASCII)
_A_DAY = timedelta(days=1)
_CHARSETS = {"utf-8": "utf-8", "gbk": "gb18030"}


def read_form(text: str) -> dict[str, str]:
    """The fields of a body or of an order string. Raises Failure when one comes twice with another value."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if fields.setdefault(name, value) != value:
            raise Failure("isv.invalid-parameter", "参数重复", code="40002")
    return fields


def check_signed(world: AlipayWorld, fields: Mapping[str, str]) -> None:
    """Check what the app signed: every field with a value except the signature itself. Raises Failure."""
    charset = _CHARSETS.get(fields.get("charset", "").lower())
    if charset is None:
        raise Failure("isv.invalid-charset", "字符集错误", code="40002")
    if fields.get("app_id") != world.app_id:
        raise Failure("isv.invalid-app-id", "无效的AppID参数", code="40002")
    if fields.get("sign_type") != "RSA2" or fields.get("version") != "1.0":
        raise Failure("isv.invalid-signature-type", "签名类型或版本有误", code="40002")
    try:
        sent = datetime.strptime(fields.get("timestamp", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        raise Failure("isv.invalid-timestamp", "非法的时间戳参数", code="40002") from None
    if abs(sent - clock.now()) > _A_DAY:
        raise Failure("isv.invalid-timestamp", "非法的时间戳参数", code="40002")
    lines = [f"{name}={fields[name]}" for name in sorted(fields) if name != "sign" and fields[name] != ""]
    if not is_signed(world.app_key.public_key(), "&".join(lines).encode(charset), fields.get("sign", "")):
        raise Failure("isv.invalid-signature", "验签出错，请检查签名串与应用公钥", code="40002")


def content_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The biz_content. Raises Failure."""
    try:
        content = msgspec.json.decode(fields.get("biz_content", ""))
    except msgspec.DecodeError:
        content = None
    if not isinstance(content, dict):
        raise Failure("isv.invalid-parameter", "biz_content不是有效的JSON", code="40002")
    return content


def answered(world: AlipayWorld, fields: Mapping[str, str], refunded: Callable[[Trade], None]) -> bytes:
    """Answer one call, signed over the member as it is written. `refunded` is called when money went back."""
    method = fields.get("method", "")
    member = method.replace(".", "_") + "_response" if method in METHODS else "error_response"
    try:
        check_signed(world, fields)
        if method not in METHODS:
            raise Failure("isv.invalid-method", "不存在的方法名", code="40002")
        for each in world.failures:
            if each[0] in ("*", method):
                world.failures.remove(each)
                raise each[1]
        content = {**content_of(fields), "notify_url": fields.get("notify_url", "")}
        answer = {"code": "10000", "msg": "Success", **METHODS[method](world, content)}
        if answer.get("fund_change") == "Y":
            refunded(world.trade_of(content))
    except Failure as failure:
        answer = failure.body()
    world.calls.append((method, answer.get("sub_code") or answer["code"]))
    charset = _CHARSETS.get(fields.get("charset", "").lower(), "utf-8")
    written = msgspec.json.encode(answer).decode().encode(charset)
    signature = sign(world.own_key, written) if member != "error_response" else ""
    tail = b',"sign":"' + signature.encode() + b'"}'
    return b'{"' + member.encode() + b'":' + written + tail


def open_trade(world: AlipayWorld, content: Mapping[str, Any], notify_url: str, buyer: str) -> Trade:
    """The trade that an order names, made if it is new. Raises Failure when it is known with another content."""
    number, subject = content.get("out_trade_no"), content.get("subject")
    if not isinstance(number, str) or not NUMBER.fullmatch(number) or not isinstance(subject, str) or not subject:
        raise Failure("ACQ.INVALID_PARAMETER", "参数有误")
    total = fen_of(content.get("total_amount"))
    if (known := world.trades.get(number)) is not None:
        if world.status(known) == "TRADE_CLOSED":
            raise Failure("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
        if known.paid_at is not None:
            raise Failure("ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
        if (known.total_fen, known.subject) != (total, subject):
            raise Failure("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")
        return known
    now = world.now()
    expires_at = now + TRADE_LIVES
    if given := content.get("time_expire"):
        expires_at = datetime.strptime(given, "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.SHANGHAI)
    if expires_at <= now:
        raise Failure("ACQ.INVALID_PARAMETER", "订单已过期")
    trade = Trade(number, world.next_id(), total, subject, buyer, notify_url, now, expires_at)
    world.trades[number] = trade
    return trade


def fen_of(text: object) -> int:
    """Yuan as fen, at least one. Raises Failure."""
    found = YUAN.fullmatch(text) if isinstance(text, str) else None
    fen = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if fen < 1:
        raise Failure("ACQ.TOTAL_FEE_EXCEED", "金额不在允许范围内")
    return fen


def _query(world: AlipayWorld, content: Mapping[str, Any]) -> dict[str, Any]:
    trade = world.trade_of(content)
    answer = {**_names(trade), "trade_status": world.status(trade), "total_amount": yuan(trade.total_fen)}
    paid = trade.total_fen if trade.paid_at else 0
    answer |= {"buyer_logon_id": "138****0000", "buyer_user_id": trade.buyer, "point_amount": "0.00"}
    answer |= {"receipt_amount": yuan(paid), "buyer_pay_amount": yuan(paid), "invoice_amount": yuan(paid)}
    return {**answer, "send_pay_date": wall(trade.paid_at)} if trade.paid_at else answer


def _close(world: AlipayWorld, content: Mapping[str, Any]) -> dict[str, Any]:
    trade = world.trade_of(content)
    if world.status(trade) != "WAIT_BUYER_PAY":
        raise Failure("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    trade.closed = True
    return _names(trade)


def _refund(world: AlipayWorld, content: Mapping[str, Any]) -> dict[str, Any]:
    trade, fen = world.trade_of(content), fen_of(content.get("refund_amount"))
    number = content.get("out_request_no") or trade.number
    known = next((each for each in trade.refunds if each.number == number), None)
    if known is not None and known.fen != fen:
        raise Failure("ACQ.DISCORDANT_REPEAT_REQUEST", "不一致的请求")
    change = "N"
    if known is None:
        _check_refund(world, trade, fen, whole="out_request_no" not in content)
        moved = None if world.rules.hold_refunds else world.now()
        trade.refunds.append(TradeRefund(number, fen, str(content.get("refund_reason", "")), moved))
        change = "Y" if moved else "N"
        if world.rules.balance_fen is not None:
            world.rules.balance_fen -= fen
    answer = {**_names(trade), "buyer_logon_id": "138****0000", "buyer_user_id": trade.buyer, "fund_change": change}
    return {**answer, "refund_fee": yuan(trade.refunded_fen), "gmt_refund_pay": wall(world.now())}


def _check_refund(world: AlipayWorld, trade: Trade, fen: int, *, whole: bool) -> None:
    if trade.paid_at is None:
        raise Failure("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    if trade.finished or world.status(trade) == "TRADE_CLOSED":
        raise Failure("ACQ.TRADE_HAS_FINISHED", "交易已完结")
    asked = sum(each.fen for each in trade.refunds)
    if asked + fen > trade.total_fen or (whole and fen != trade.total_fen):
        raise Failure("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
    if world.rules.balance_fen is not None and world.rules.balance_fen < fen:
        raise Failure("ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")


def _query_refund(world: AlipayWorld, content: Mapping[str, Any]) -> dict[str, Any]:
    """An unknown number is answered with success and nothing in it, as the gateway does."""
    trade = world.trade_of(content)
    found = next((each for each in trade.refunds if each.number == content.get("out_request_no")), None)
    if found is None:
        return {}
    answer = {**_names(trade), "out_request_no": found.number, "refund_reason": found.reason}
    answer |= {"total_amount": yuan(trade.total_fen), "refund_amount": yuan(found.fen)}
    if found.at is None:
        return answer
    answer["refund_status"] = "REFUND_SUCCESS"
    wanted = content.get("query_options", [])
    return {**answer, "gmt_refund_pay": wall(found.at)} if "gmt_refund_pay" in wanted else answer


def _create(world: AlipayWorld, content: Mapping[str, Any]) -> dict[str, Any]:
    buyer = content.get("buyer_open_id") or content.get("buyer_id")
    if not isinstance(buyer, str) or not buyer:
        raise Failure("ACQ.INVALID_PARAMETER", "买家不能为空")
    return _names(open_trade(world, content, str(content["notify_url"]), buyer))


def _names(trade: Trade) -> dict[str, str]:
    return {"out_trade_no": trade.number, "trade_no": trade.trade_no}


METHODS: dict[str, Callable[[AlipayWorld, Mapping[str, Any]], dict[str, Any]]] = {
    "alipay.trade.create": _create,
    "alipay.trade.query": _query,
    "alipay.trade.close": _close,
    "alipay.trade.refund": _refund,
    "alipay.trade.fastpay.refund.query": _query_refund,
}
