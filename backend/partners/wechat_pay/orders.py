"""Orders of JSAPI payment: placing, querying, closing; ours or, as a 服务商, for a sub-merchant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from backend import clock
from backend.partners.paying.exact_json import Ambiguous, text
from backend.partners.paying.port import (
    ChannelOrder,
    ChannelOrderClosed,
    ChannelOrderInConflict,
    ChannelOrderPaid,
    ChannelOrderState,
    OrderRequest,
    PartnerError,
    PartnerMisconfigured,
    PartnerUnreachable,
    PrepaidOrder,
)
from backend.partners.wechat_pay.api import WeChatPayApi
from backend.partners.wechat_pay.errors import NAME
from backend.partners.wechat_pay.reading import order_of

GOOD_FOR = timedelta(hours=2)
"""How long a prepay_id can be paid."""
LONGEST_DESCRIPTION = 127


async def place(api: WeChatPayApi, order: OrderRequest) -> PrepaidOrder:
    """Place an order."""
    asked = clock.now()
    try:
        answer = await api.post("place", f"{_root(api)}/jsapi", content_of(api, order), errors={})
    except ChannelOrderInConflict as conflict:
        raise await _conflict_error(api, order, conflict) from None
    try:
        prepay_id = text(answer, "prepay_id", most=128)
    except Ambiguous:
        raise PartnerUnreachable(NAME, "no-prepay-id", maybe_done=True) from None
    return PrepaidOrder(prepay_id, min(asked + GOOD_FOR, order.expires_at))


async def _conflict_error(api: WeChatPayApi, order: OrderRequest, conflict: ChannelOrderInConflict) -> PartnerError:
    """The error of a number in use: its state shows whether it is paid, closed or another order."""
    state = (await query(api, order.number, order.sub_merchant_id)).state
    about = (NAME, conflict.partner_code, conflict.message)
    if state in (ChannelOrderState.PAID, ChannelOrderState.REFUNDED):
        return ChannelOrderPaid(*about)
    return ChannelOrderClosed(*about) if state is ChannelOrderState.CLOSED else conflict


def content_of(api: WeChatPayApi, order: OrderRequest) -> dict[str, Any]:
    """The content of an order: the same for the same order, byte for byte, at every attempt."""
    merchant = api.merchant
    until = order.expires_at.astimezone(clock.SHANGHAI).replace(microsecond=0).isoformat()
    common = {
        "description": order.description[:LONGEST_DESCRIPTION],
        "out_trade_no": order.number,
        "time_expire": until,
        "notify_url": merchant.notify_url,
        "amount": {"total": order.amount_fen, "currency": order.currency},
    }
    scene = {"scene_info": {"payer_client_ip": order.payer_address}} if order.payer_address else {}
    if merchant.partner_mode:
        who = {"sp_appid": merchant.appid, "sp_mchid": merchant.mchid, "sub_mchid": sub_merchant(order.sub_merchant_id)}
        return {**who, **common, "payer": {"sp_openid": order.payer}, **scene}
    return {
        "appid": merchant.appid,
        "mchid": merchant.mchid,
        **common,
        "payer": {"openid": order.payer},
        **scene,
    }


async def query(api: WeChatPayApi, number: str, sub_merchant_id: str | None) -> ChannelOrder:
    """Query an order."""
    observed = await _get(api, "query", f"out-trade-no/{quote(number, safe='')}", sub_merchant_id)
    if observed.number != number:
        raise PartnerUnreachable(NAME, "another-order", maybe_done=True)
    return observed


async def query_by_transaction(api: WeChatPayApi, transaction_id: str, sub_merchant_id: str | None) -> ChannelOrder:
    """A paid order by the platform's number. Raises as `query`."""
    return await _get(api, "query_by_transaction", f"id/{quote(transaction_id, safe='')}", sub_merchant_id)


async def close(api: WeChatPayApi, number: str, sub_merchant_id: str | None) -> None:
    """Close an order; a closed one too."""
    path = f"{_root(api)}/out-trade-no/{quote(number, safe='')}/close"
    try:
        await api.post("close", path, _who(api, sub_merchant_id), errors={})
    except ChannelOrderClosed:
        return


async def _get(api: WeChatPayApi, call: str, path: str, sub_merchant_id: str | None) -> ChannelOrder:
    answer = await api.get(call, f"{_root(api)}/{path}", _who(api, sub_merchant_id), errors={})
    try:
        return order_of(answer)
    except Ambiguous as error:
        raise PartnerUnreachable(NAME, "unreadable", str(error), maybe_done=True) from None


def sub_merchant(number: str | None) -> str:
    """The sub-merchant that partner mode cannot do without. Raises PartnerMisconfigured."""
    if not number:
        raise PartnerMisconfigured(NAME, "no-sub-merchant")
    return number


def _root(api: WeChatPayApi) -> str:
    return "/v3/pay/partner/transactions" if api.merchant.partner_mode else "/v3/pay/transactions"


def _who(api: WeChatPayApi, sub_merchant_id: str | None) -> Mapping[str, str]:
    if api.merchant.partner_mode:
        return {"sp_mchid": api.merchant.mchid, "sub_mchid": sub_merchant(sub_merchant_id)}
    return {"mchid": api.merchant.mchid}
