"""WeChat's logistics functions: the trace component of a paid order, and the events about a parcel's path."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from backend.partners.base import Repeat
from backend.partners.bodies import Unreadable
from backend.partners.courier.port import CourierPushInvalid, Node, Track
from backend.partners.courier.reading import company, groups, node, nodes, text, waybill
from backend.partners.courier.tables import OTHER, Table
from backend.partners.wechat.api import Errors, WeChatApi
from backend.partners.wechat.errors import WechatBusy, WechatRecipientNotFound, WechatRefused
from backend.partners.wechat.port import Push, TracedWaybill

EVENT = "add_express_path"
MOST_GOODS = 10
_BASE = "/cgi-bin/express/delivery/open_msg"
_EARLIEST, _LATEST = 946_684_800, 4_102_444_800
"""2000 and 2100, in seconds since 1970."""

_ERRORS: Errors = {40003: WechatRecipientNotFound}


async def trace_waybill(api: WeChatApi, parcel: TracedWaybill, table: Table) -> str:
    """What the documents forbid is refused before it costs a call."""
    if not parcel.transaction or not 1 <= len(parcel.goods) <= MOST_GOODS:
        raise WechatRefused("wechat", "not-sent")
    goods = [{"goods_name": each.name, "goods_img_url": each.image} for each in parcel.goods]
    content: dict[str, Any] = {
        "openid": parcel.openid,
        "receiver_phone": parcel.receiver_phone,
        "waybill_id": parcel.waybill,
        "delivery_id": table.their_company(parcel.company),
        "goods_info": {"detail_list": goods},
        "trans_id": parcel.transaction,
    }
    if parcel.page:
        content["order_detail_path"] = parcel.page
    # A second request gives another token for the same parcel, and both work.
    answer = await api.post(f"{_BASE}/trace_waybill", content, errors=_ERRORS, repeat=Repeat.ALWAYS)
    token = answer.get("waybill_token")
    if not isinstance(token, str) or not token:
        raise WechatBusy("wechat", "no-token")
    return token


async def query_trace(api: WeChatApi, openid: str, token: str, table: Table) -> str:
    """The status of the parcel that a token stands for."""
    content = {"openid": openid, "waybill_token": token}
    answer = await api.post(f"{_BASE}/query_trace", content, errors=_ERRORS, repeat=Repeat.ALWAYS)
    waybill_info = answer.get("waybill_info")
    state = waybill_info.get("status") if isinstance(waybill_info, dict) else None
    if not isinstance(state, int | str):
        raise WechatBusy("wechat", "no-status")
    return table.states.get(str(state), OTHER)


def parcel_path(push: Push, table: Table) -> Track:
    """JSON has a list of nodes, XML repeats the element; one node comes bare in both."""
    try:
        if push.event != EVENT:
            raise Unreadable("another event")
        content = push.content
        return Track(
            waybill=waybill(text(content, "WayBillId")),
            company=company(table.company(text(content, "DeliveryID"))),
            nodes=nodes("wechat", groups(content.get("Actions"), "Actions"), lambda each: _node(each, table)),
            complete=False,
            order_number=text(content, "OrderId")[:64] or None,
        )
    except Unreadable as error:
        raise CourierPushInvalid(str(error)) from None


def _node(action: Mapping[str, Any], table: Table) -> Node:
    code, seconds = text(action, "ActionType"), text(action, "ActionTime")
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= 10):
        raise Unreadable("no time")
    if not _EARLIEST <= int(seconds) < _LATEST:
        raise Unreadable("no time")
    return node(
        status=table.status(code),
        code=code,
        words=text(action, "ActionMsg"),
        event_at=datetime.fromtimestamp(int(seconds), UTC),
    )
