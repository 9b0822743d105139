"""WeChat's logistics: pushes about a parcel's path, and the token of the trace component where a paid order exists."""

from __future__ import annotations

import logging
from uuid import UUID

from backend import identity
from backend.callbacks import WechatPushed, consume_wechat_push
from backend.crypto import open_sealed
from backend.database import fetch_row, fetch_value
from backend.deliveries import tracking, transitions
from backend.deliveries.errors import TraceNotOffered
from backend.events import EventMeta
from backend.identity import AsResident
from backend.partners import in_use
from backend.partners.courier.port import CourierPushInvalid
from backend.partners.wechat.port import Goods, TracedWaybill, WeChat
from backend.settings import settings

log = logging.getLogger(__name__)

EVENT = "add_express_path"
SOURCE = "wechat"

_SHIPMENT = """
SELECT d.id, d.phone, d.contents, s.waybill, s.company FROM deliveries d JOIN shipments s ON s.delivery_id = d.id
WHERE d.id = $1 AND s.waybill IS NOT NULL ORDER BY s.attempt DESC LIMIT 1
"""
_PAID = """
SELECT p.transaction_id FROM fees f JOIN payments p ON p.id = f.paid_by_id
WHERE ((f.subject_kind = 'delivery' AND f.subject_id = $1) OR (f.subject_kind = $2 AND f.subject_id = $3))
  AND p.channel = 'wechat_pay' AND p.resident_id = $4 AND p.transaction_id IS NOT NULL
ORDER BY f.subject_kind = 'delivery' DESC LIMIT 1
"""


async def apply_wechat_push(event: WechatPushed, meta: EventMeta) -> None:
    """Apply WeChat's push about a parcel's path. Its pushes are signed, so they are trusted; unreadable ones are
    logged."""
    if event.name != EVENT:
        return
    push = await consume_wechat_push(event.message_id)
    if push is None:
        return
    try:
        track = in_use().wechat.parcel_path(push)
    except CourierPushInvalid as error:
        facts = {"event": "tracking.wechat-push-invalid", "reason": error.why}
        log.warning("WeChat logistics push not read", extra=facts)
        return
    await tracking.ingest_tracks([track], source=SOURCE, trusted=True)


async def get_trace_token(resident: AsResident, which: UUID | str, *, wechat: WeChat) -> str:
    """Return the token with which the mini-program opens WeChat's trace component for the resident's parcel.

    Raises DeliveryNotFound; TraceNotOffered when no shipment has a waybill, no payment went through WeChat Pay, or the
    resident has no WeChat account; what WeChat's port raises.
    """
    delivery = await transitions.get_row(which, owner=resident.id)
    row = await fetch_row(_SHIPMENT, delivery.id)
    paid = await fetch_value(_PAID, delivery.id, delivery.subject_kind, delivery.subject_id, resident.id)
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
