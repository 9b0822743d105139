"""WeChat's side of a parcel: events about its path, and the token of its trace component where a paid order exists."""

from __future__ import annotations

import logging
from uuid import UUID

from backend import identity
from backend.callbacks import WechatPushed, consume_wechat_push
from backend.crypto import open_sealed
from backend.database import fetch_row, fetch_value
from backend.deliveries import moving, tracking
from backend.deliveries.errors import TraceNotOffered
from backend.events import EventMeta
from backend.identity.principals import AsResident
from backend.partners import in_use
from backend.partners.courier.port import CourierPushInvalid
from backend.partners.wechat.port import Goods, TracedWaybill, WeChat
from backend.settings import settings

log = logging.getLogger(__name__)

EVENT = "add_express_path"
SOURCE = "wechat"

_PARCEL = """
SELECT d.id, d.phone, d.contents, s.waybill, s.company FROM deliveries d JOIN shipments s ON s.delivery_id = d.id
WHERE d.id = $1 AND s.waybill IS NOT NULL ORDER BY s.attempt DESC LIMIT 1
"""
_PAID = """
SELECT p.transaction_id FROM fees f JOIN payments p ON p.id = f.paid_by_id
WHERE ((f.subject_kind = 'delivery' AND f.subject_id = $1) OR (f.subject_kind = $2 AND f.subject_id = $3))
  AND p.channel = 'wechat_pay' AND p.resident_id = $4 AND p.transaction_id IS NOT NULL
ORDER BY f.subject_kind = 'delivery' DESC LIMIT 1
"""


async def hear_wechat(event: WechatPushed, meta: EventMeta) -> None:
    """WeChat tells of a parcel's path. Its pushes are signed, so it is believed; what nobody can read is left alone."""
    if event.name != EVENT:
        return
    push = await consume_wechat_push(event.message_id)
    if push is None:
        return
    try:
        track = in_use().wechat.parcel_path(push)
    except CourierPushInvalid as trouble:
        facts = {"event": "tracking.wechat-push-invalid", "reason": trouble.why}
        log.warning("WeChat logistics push not read", extra=facts)
        return
    await tracking.hear([track], source=SOURCE, sure=True)


async def trace_token(resident: AsResident, which: UUID | str, *, wechat: WeChat) -> str:
    """The token with which the mini-program shows WeChat's trace component of the resident's parcel.

    Raises DeliveryNotFound; TraceNotOffered when nothing has been sent, nothing was paid through WeChat Pay, or the
    resident has no account there; what WeChat's port raises.
    """
    standing = await moving.seen(which, owner=resident.id)
    row = await fetch_row(_PARCEL, standing.id)
    paid = await fetch_value(_PAID, standing.id, standing.subject_kind, standing.subject_id, resident.id)
    openid = await identity.openid_of(resident.id)
    if row is None or paid is None or openid is None or not settings().trace_picture:
        raise TraceNotOffered
    return await wechat.trace_waybill(
        TracedWaybill(
            openid=openid,
            waybill=row["waybill"],
            company=row["company"],
            receiver_phone=open_sealed(row["phone"], where="deliveries.phone", row=row["id"]),
            transaction=paid,
            goods=(Goods(row["contents"], settings().trace_picture),),
        )
    )
