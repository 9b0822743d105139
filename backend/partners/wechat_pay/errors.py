"""What the platform's error codes mean, as a table: code → error.

The body of an error is `{code, message, detail}`; only `code` decides, except where one code stands for two things.
Codes: the platform's documentation of API v3 (错误码) and its public SDKs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.partners.base import Reply, retry_after_seconds
from backend.partners.paying.port import (
    ChannelBillEmpty,
    ChannelBillNotReady,
    ChannelNotEnoughMoney,
    ChannelOrderClosed,
    ChannelOrderInConflict,
    ChannelOrderNotFound,
    ChannelOrderPaid,
    ChannelPayerRefused,
    ChannelRefundNotFound,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
)

NAME = "wechat-pay"
"""The name of the partner in metrics, logs and the table of received messages."""

Errors = Mapping[str, type[PartnerError]]
COMMON: Errors = {
    "SIGN_ERROR": PartnerMisconfigured,
    "NO_AUTH": PartnerMisconfigured,
    "APPID_MCHID_NOT_MATCH": PartnerMisconfigured,
    "MCH_NOT_EXISTS": PartnerMisconfigured,
    "PARAM_ERROR": PartnerRefused,
    "INVALID_REQUEST": PartnerRefused,
    "TRADE_ERROR": PartnerRefused,
    "RULE_LIMIT": ChannelPayerRefused,
    "RULELIMIT": ChannelPayerRefused,
    "ACCOUNT_ERROR": ChannelPayerRefused,
    "ACCOUNTERROR": ChannelPayerRefused,
    "OPENID_MISMATCH": ChannelPayerRefused,
    "USER_ACCOUNT_ABNORMAL": ChannelPayerRefused,
    "NOT_ENOUGH": ChannelNotEnoughMoney,
    "NOTENOUGH": ChannelPayerRefused,
    "ORDER_CLOSED": ChannelOrderClosed,
    "ORDERCLOSED": ChannelOrderClosed,
    "ORDER_PAID": ChannelOrderPaid,
    "ORDERPAID": ChannelOrderPaid,
    "ORDER_NOT_EXIST": ChannelOrderNotFound,
    "ORDERNOTEXIST": ChannelOrderNotFound,
    "RESOURCE_NOT_EXISTS": ChannelOrderNotFound,
    "OUT_TRADE_NO_USED": ChannelOrderInConflict,
    "FREQUENCY_LIMITED": PartnerBusy,
    "FREQUENCY_LIMIT": PartnerBusy,
    "FREQUENCY_LIMIT_EXCEED": PartnerBusy,
    "RATELIMIT_EXCEEDED": PartnerBusy,
    "USERPAYING": PartnerBusy,
}
OF_REFUND_QUERIES: Errors = {"RESOURCE_NOT_EXISTS": ChannelRefundNotFound, "REFUND_NOT_EXISTS": ChannelRefundNotFound}
OF_BILLS: Errors = {
    "NO_STATEMENT_EXIST": ChannelBillEmpty,
    "STATEMENT_CREATING": ChannelBillNotReady,
    "RESOURCE_NOT_EXISTS": ChannelBillEmpty,
}
_TRANSIENT = frozenset({"SYSTEM_ERROR", "SYSTEMERROR", "BANK_ERROR", "BANKERROR"})
_AMBIGUOUS = frozenset({"INVALID_REQUEST", "OUT_TRADE_NO_USED"})
_LONGEST_MESSAGE = 200


def problem_of(reply: Reply, errors: Errors) -> PartnerError:
    """The error of an answer that is no success. Repeating helps after 5xx, 429 and SYSTEM_ERROR only, and always with
    the same number."""
    content = _content(reply.body)
    code, message = content.get("code"), content.get("message")
    code = code[:64] if isinstance(code, str) else ""
    message = message[:_LONGEST_MESSAGE] if isinstance(message, str) else ""
    kind = errors.get(code) or COMMON.get(code)
    if code in _AMBIGUOUS:
        kind = _by_words(message) or kind
    after = retry_after_seconds(reply.headers.get("retry-after"))
    if reply.status == 429 or (kind is not None and issubclass(kind, PartnerBusy)):
        return (kind if kind and issubclass(kind, PartnerBusy) else PartnerBusy)(
            NAME, code or str(reply.status), message, retry_after=after
        )
    if code in _TRANSIENT or (reply.status >= 500 and kind is None):
        return PartnerUnreachable(NAME, code or str(reply.status), message, maybe_done=True, retry_after=after)
    if kind is None and not code:
        # Not the platform's form of a refusal: a proxy between us answered.
        return PartnerUnreachable(NAME, f"status-{reply.status}", maybe_done=True)
    if kind is None:
        kind = PartnerMisconfigured if reply.status in (401, 403) else PartnerRefused
    return kind(NAME, code, message)


def _by_words(message: str) -> type[PartnerError] | None:
    """One code means both that a number is paid and that it came with another content; only the message differs.
    Either way the state is queried next, so that a change of wording costs a query and no money."""
    if "已支付" in message:
        return ChannelOrderPaid
    if "已关闭" in message:
        return ChannelOrderClosed
    if "不一致" in message or "重入" in message:
        return ChannelOrderInConflict
    return None


def _content(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
