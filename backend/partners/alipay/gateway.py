"""One call of Alipay's gateway: a signed form, answered by JSON whose signature covers one member as it was written.

Names, codes and rules of the gateway are from general knowledge of the platform, not from a reading of its
documentation; the address can be set (ALIPAY_API_BASE), and an answer that is not signed is never a success.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend import clock
from backend.partners.alipay.amounts import written
from backend.partners.alipay.merchant import NAME, AlipayMerchant
from backend.partners.alipay.signing import fits, signed_form
from backend.partners.base import PartnerClient, Repeat, Reply, Request, Wire
from backend.partners.paying.exact_json import Ambiguous, read_object
from backend.partners.paying.port import (
    ChannelNotEnoughMoney,
    ChannelOrderClosed,
    ChannelOrderInConflict,
    ChannelOrderNotFound,
    ChannelOrderPaid,
    ChannelPayerRefused,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
)
from backend.settings import Settings

SUCCESS = "10000"
_ERRORS: Mapping[str, type[PartnerError]] = {
    "ACQ.TRADE_NOT_EXIST": ChannelOrderNotFound,
    "ACQ.TRADE_HAS_SUCCESS": ChannelOrderPaid,
    "ACQ.TRADE_STATUS_ERROR": ChannelOrderPaid,
    "ACQ.TRADE_HAS_CLOSE": ChannelOrderClosed,
    "ACQ.TRADE_HAS_FINISHED": ChannelOrderClosed,
    "ACQ.CONTEXT_INCONSISTENT": ChannelOrderInConflict,
    "ACQ.DISCORDANT_REPEAT_REQUEST": ChannelOrderInConflict,
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": ChannelNotEnoughMoney,
    "ACQ.BUYER_ERROR": ChannelPayerRefused,
    "ACQ.BUYER_NOT_EXIST": ChannelPayerRefused,
    "ACQ.USER_NOT_MATCH_ERR": ChannelPayerRefused,
    "ACQ.REFUND_CHARGE_ERROR": ChannelPayerRefused,
}


class AlipayGateway:
    """Calls of one app."""

    def __init__(self, merchant: AlipayMerchant, wire: Wire, values: Settings) -> None:
        self.merchant = merchant
        self._client = PartnerClient(NAME, values.alipay_api_base, wire, values)

    async def call(self, method: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Call a method; the member that answers. Our own numbers make every call safe to repeat.

        Raises the error of its code: one of _ERRORS, PartnerBusy, PartnerUnreachable, PartnerMisconfigured or
        PartnerRefused.
        """
        form = signed_form(self.merchant.key, self.fields(method, content))
        request = Request(
            method="POST",
            path="",
            query={"charset": "utf-8"},
            body=form.encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
            repeat=Repeat.ALWAYS,
        )
        name = f"{method.replace('.', '_')}_response"
        return await self._client.send(
            method.removeprefix("alipay.trade."), request, lambda reply: self._read(name, reply)
        )

    def fields(self, method: str, content: Mapping[str, Any], *, notify: bool = False) -> dict[str, str]:
        """The fields that every call has, and its content as JSON."""
        fields = {
            "app_id": self.merchant.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": written(clock.now()),
            "version": "1.0",
            "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        }
        return {**fields, "notify_url": self.merchant.notify_url} if notify else fields

    def _read(self, name: str, reply: Reply) -> dict[str, Any]:
        try:
            outer = read_object(reply.body)
            answer = outer.get(name) or outer.get("error_response")
            if not isinstance(answer, dict):
                raise Ambiguous("no answer")
        except Ambiguous:
            raise PartnerUnreachable(NAME, "not-json", maybe_done=True) from None
        signature = outer.get("sign")
        proven = isinstance(signature, str) and fits(self.merchant.public_key, member(reply.body, name), signature)
        if answer.get("code") == SUCCESS:
            if not proven or name not in outer:
                raise PartnerUnreachable(NAME, "not-signed", maybe_done=True)
            return answer
        raise _error_of(answer)


def member(body: bytes, name: str) -> bytes:
    """The member of an object as it was written: what the signature covers. Empty when it cannot be found.

    Only a member of the object itself counts, not one of the same name further in.
    """
    text, decoder = body.decode("utf-8", "replace"), json.JSONDecoder()
    at = text.find("{") + 1
    try:
        while at:
            at = _skip(text, at)
            key, at = decoder.raw_decode(text, at)
            start = _skip(text, _skip(text, at) + 1)
            _, at = decoder.raw_decode(text, start)
            if key == name:
                return text[start:at].encode()
            at = _skip(text, at)
            if text[at : at + 1] != ",":
                return b""
            at += 1
    except (ValueError, IndexError):
        return b""
    return b""


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at


def _error_of(answer: dict[str, Any]) -> PartnerError:
    code, sub = str(answer.get("code", ""))[:16], str(answer.get("sub_code", ""))[:64]
    message = str(answer.get("sub_msg") or answer.get("msg") or "")[:200]
    if sub in _ERRORS:
        return _ERRORS[sub](NAME, sub, message)
    if code == "20000" or sub in ("ACQ.SYSTEM_ERROR", "SYSTEM_ERROR"):
        return PartnerUnreachable(NAME, sub or code, message, maybe_done=True)
    if "call-limited" in sub:
        return PartnerBusy(NAME, sub, message)
    if code in ("20001", "40001", "40002", "40003", "40006"):
        return PartnerMisconfigured(NAME, sub or code, message)
    return PartnerRefused(NAME, sub or code, message)
