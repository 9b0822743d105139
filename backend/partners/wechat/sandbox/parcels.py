"""The trace component: parcels of paid orders, and the events about their path."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.pushing import EventPush, EventSender
from backend.partners.wechat.sandbox.world import World

_STATES = {100001: 1, 200001: 2, 300002: 3, 300003: 4, 300004: 5, 400002: 5}
"""What a node makes of the status of its parcel."""


@dataclass
class FollowedWaybill:
    """A parcel that a persona follows; `status` is 0 none, 1 picked, 2 transit, 3 delivering, 4 signed, 5 exception."""

    token: str
    openid: str
    waybill: str
    delivery: str
    transaction: str
    status: int = 0
    actions: list[dict[str, Any]] = field(default_factory=list)


def trace_waybill(world: World, content: Mapping[str, Any]) -> dict[str, Any]:
    """POST /cgi-bin/express/delivery/open_msg/trace_waybill."""
    someone = world.persona_with(str(content.get("openid", "")), "mini_program")
    goods = content.get("goods_info")
    listed = goods.get("detail_list") if isinstance(goods, dict) else None
    named = isinstance(listed, list) and all(isinstance(each, dict) and each.get("goods_name") for each in listed)
    if not isinstance(listed, list) or not 1 <= len(listed) <= 10 or not named:
        raise Errcode(40097, "invalid args: goods_info")
    for name in ("receiver_phone", "waybill_id", "trans_id"):
        if not isinstance(content.get(name), str) or not content[name]:
            raise Errcode(40097, f"invalid args: {name}")
    if world.paid is not None and content["trans_id"] not in world.paid:
        raise Errcode(9300559, "invalid trans_id")
    parcel = FollowedWaybill(
        token=secrets.token_urlsafe(24),
        openid=someone.openid,
        waybill=content["waybill_id"],
        delivery=str(content.get("delivery_id", "")),
        transaction=content["trans_id"],
    )
    world.parcels[parcel.token] = parcel
    return {"errcode": 0, "errmsg": "ok", "waybill_token": parcel.token}


def query_trace(world: World, content: Mapping[str, Any]) -> dict[str, Any]:
    """POST /cgi-bin/express/delivery/open_msg/query_trace."""
    someone = world.persona_with(str(content.get("openid", "")), "mini_program")
    parcel = world.parcels.get(str(content.get("waybill_token", "")))
    if parcel is None or parcel.openid != someone.openid:
        raise Errcode(9300507, "invalid waybill_token")
    return {
        "errcode": 0,
        "errmsg": "ok",
        "waybill_info": {"status": parcel.status, "waybill_id": parcel.waybill},
        "delivery_info": {"delivery_id": parcel.delivery, "delivery_name": parcel.delivery},
    }


def move(world: World, pusher: EventSender, waybill: str, actions: Sequence[tuple[int, int, str]]) -> list[EventPush]:
    """Nodes (seconds, type, words) happen to a parcel; everybody who follows it is pushed an event with all of them."""
    sent = []
    for parcel in [each for each in world.parcels.values() if each.waybill == waybill]:
        for seconds, kind, words in actions:
            parcel.actions.append({"ActionTime": seconds, "ActionType": kind, "ActionMsg": words})
            parcel.status = _STATES.get(kind, parcel.status)
        someone = world.persona_with(parcel.openid, "mini_program")
        more = {
            "DeliveryID": parcel.delivery,
            "WayBillId": parcel.waybill,
            "OrderId": parcel.transaction,
            "Version": len(parcel.actions),
            "Count": len(parcel.actions),
            "Actions": list(parcel.actions),
        }
        sent.append(pusher.event(world.mini_program, someone, "add_express_path", **more))
    return sent
