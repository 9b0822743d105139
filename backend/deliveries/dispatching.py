"""The office sends: one parcel, a waybill bought elsewhere; labels, taking back, sending again. Mornings: batching.py.

Whoever has the duty `deliveries.send` sends what belongs to their own department.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from backend import clock
from backend.crypto import open_sealed
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.deliveries import anomalies, moving, ordering, postage, tracking, unmatched
from backend.deliveries.errors import (
    CourierInvalid,
    DeliveryAlreadyChosen,
    DeliveryNotFound,
    DeliveryTransitionRefused,
    PostageUnpaid,
    ReceiverForgotten,
    WaybillInvalid,
    WaybillTaken,
)
from backend.deliveries.events import ReceiverShown, ShipmentOrdered
from backend.deliveries.lifecycle import Move
from backend.deliveries.moving import Standing
from backend.errors import Fault
from backend.events import record
from backend.identity.principals import AsStaff
from backend.partners.courier.port import Node, Ordering, Track, Tracking
from backend.settings import settings
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, ProblemKind
from models.shipments import TrackStatus

SEND = "deliveries.send"
"""The duty of whoever sends for their department."""
WAYBILL = re.compile(r"[0-9A-Z]{6,32}", re.ASCII)
_COMPANY = re.compile(r"[a-z][a-z0-9_]{1,31}", re.ASCII)
DECLARED = {TrackStatus.DELIVERED: "经办人员登记：已签收", TrackStatus.RETURNED: "经办人员登记：已退回",
            TrackStatus.LOST: "经办人员登记：快递公司确认丢失"}  # fmt: skip
"""What the office may say of a parcel itself, when the courier has told it by phone."""
FAILED = (ProblemKind.ORDER_FAILED,)

_BY_HAND = """
UPDATE shipments SET waybill = $2, company = $3, tracker = $4, ordered_at = $5, state = 'ordered', state_at = $5,
    subscribe_after = $5, query_after = $6
WHERE id = $1
"""
_TAKEN = "SELECT 1 FROM shipments WHERE waybill = $1 AND company = $2 AND ended_at IS NULL"
_OTHER = """
SELECT 1 FROM deliveries WHERE subject_kind = $1 AND subject_id = $2 AND direction = $3 AND id <> $4
  AND state NOT IN ('signed', 'returned', 'lost', 'handed_over', 'cancelled')
"""
_LABEL = "UPDATE shipments SET label = $2 WHERE id = $1"
_ADDRESSED = "SELECT 1 FROM deliveries WHERE id = $1 AND street <> ''"
_LAST = """
SELECT id, number, courier, company, waybill, label, state, ended_at FROM shipments
WHERE delivery_id = $1 AND waybill IS NOT NULL ORDER BY attempt DESC LIMIT 1
"""


async def send(
    staff: AsStaff, which: UUID | str, courier: str, *, couriers: Mapping[str, Ordering], batch: UUID | None = None
) -> Standing:
    """Have one delivery fetched by this courier. The order is made right after; see `ordering`.

    Raises DutyMissing, DeliveryNotFound, CourierInvalid, DeliveryTransitionRefused when it is not to be sent by post
    now, PostageUnpaid, CourierOrderInProgress.
    """
    staff.require(SEND)
    with_whom = courier_of(courier, couriers)
    async with transaction():
        standing = await _to_send(which, staff)
        await ordering.begin(standing, with_whom, batch=batch)
        await anomalies.mend(standing.id, FAILED)
    return standing


async def enter_waybill(
    staff: AsStaff, which: UUID | str, *, company: str, waybill: str, trackers: Mapping[str, Tracking]
) -> Standing:
    """The office has brought it to a courier itself: it is followed by this number. `company` in kuaidi100's words.

    Raises DutyMissing, DeliveryNotFound, WaybillInvalid, WaybillTaken; otherwise what `send` raises.
    """
    staff.require(SEND)
    checked_waybill(company, waybill)
    async with transaction():
        standing = await _to_send(which, staff)
        await carry_by_hand(standing, company, waybill, trackers=trackers)
        await anomalies.mend(standing.id, FAILED)
    return standing


def checked_waybill(company: str, waybill: str) -> str:
    """The number in one spelling. Raises WaybillInvalid."""
    number = waybill.strip().upper()
    if not WAYBILL.fullmatch(number) or not _COMPANY.fullmatch(company):
        raise WaybillInvalid(fields=[Fault("/waybill", "运单号为 6 至 32 位字母数字，快递公司为其编码")])
    return number


async def carry_by_hand(standing: Standing, company: str, waybill: str, *, trackers: Mapping[str, Tracking]) -> None:
    """A locked delivery that is TO_SEND was brought to a courier: ORDERED, and followed by this number from now on.

    Raises WaybillInvalid, WaybillTaken.
    """
    number = checked_waybill(company, waybill)
    await unmatched.hold(number)
    if await fetch_value(_TAKEN, number, company):
        raise WaybillTaken
    own = next((name for name, each in trackers.items() if name == company and each.pushes), None)
    now = clock.now()
    shipment_id = await ordering.begin_by_hand(standing, company)
    asked = now + timedelta(minutes=settings().courier_poll_minutes)
    await execute(_BY_HAND, shipment_id, number, company, own or settings().courier_tracker, now, asked)
    await moving.move(standing, Move.ORDER, tracking.MANUAL, now)
    await unmatched.work_off(number)
    attempt: int = await fetch_value("SELECT attempt FROM shipments WHERE id = $1", shipment_id)
    await record(
        ShipmentOrdered(shipment_id=shipment_id, delivery_id=standing.id, courier=tracking.MANUAL, attempt=attempt)
    )


async def label(staff: AsStaff, which: UUID | str, *, couriers: Mapping[str, Ordering]) -> str | None:
    """What is to be stuck on the parcel (data or an address); None where the courier prints it. It names the receiver,
    so the ledger says who has seen it.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused before it is ordered, PartnerBusy,
    PartnerUnreachable, PartnerRefused.
    """
    staff.require(SEND)
    standing = await moving.seen(which, department=staff.department_id)
    row = await fetch_row(_LAST, standing.id)
    if row is None or row["ended_at"] is not None:
        raise DeliveryTransitionRefused(state=standing.state.value, move="label")
    courier = couriers.get(row["courier"])
    if row["label"] is not None:
        found: str | None = open_sealed(row["label"], where="shipments.label", row=row["id"])
    else:
        found = await courier.label(row["number"], row["waybill"]) if courier is not None else None
    if found is not None:
        async with transaction():
            if row["label"] is None:
                await execute(_LABEL, row["id"], ordering.sealed_label(row["id"], found))
            await record(ReceiverShown(delivery_id=standing.id, staff_id=staff.id))
    return found


async def undo(staff: AsStaff, which: UUID | str, *, couriers: Mapping[str, Ordering]) -> Standing:
    """Take an order back, before the courier has come; the delivery is TO_SEND again. An order that the courier has not
    answered yet is given up.

    Raises DutyMissing, DeliveryNotFound, DeliveryAddressFixed when it is too late, DeliveryTransitionRefused,
    CourierInvalid, PartnerBusy, PartnerUnreachable.
    """
    staff.require(SEND)
    before = await moving.seen(which, department=staff.department_id)
    undone = await ordering.undo_at_courier(before, couriers=couriers)
    async with transaction():
        standing = await moving.locked(before.id)
        if undone is not None:
            await ordering.undone(standing, undone, "staff")
        elif not await ordering.give_up(standing):
            raise DeliveryTransitionRefused(state=standing.state.value, move=Move.UNDO_ORDER.value)
    return standing


async def resend(staff: AsStaff, which: UUID | str) -> Standing:
    """What came back, or was lost and made anew, is to be sent again: by the resident's address, which they may change
    first. It is sent with `send` as another parcel.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused; DeliveryAlreadyChosen when another delivery of the
    subject has been begun meanwhile; ReceiverForgotten when its person was erased.
    """
    staff.require(SEND)
    async with transaction():
        standing = await moving.locked(which, department=staff.department_id)
        other = await fetch_value(
            _OTHER, standing.subject_kind, standing.subject_id, standing.direction.value, standing.id
        )
        if standing.state in (D.RETURNED, D.LOST):
            if other:
                raise DeliveryAlreadyChosen
            if not await fetch_value(_ADDRESSED, standing.id):
                raise ReceiverForgotten
        await moving.move(standing, Move.RESEND, "staff")
        await anomalies.mend(standing.id, (ProblemKind.RETURNED, ProblemKind.LOST, ProblemKind.REFUSED))
    return standing


async def declare(staff: AsStaff, which: UUID | str, status: TrackStatus, at: datetime | None = None) -> Standing:
    """The courier has told the office by phone that it was signed for, returned or lost: a node in the timeline, which
    counts like any other.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused when nothing is under way or it is none of these.
    """
    staff.require(SEND)
    standing = await moving.seen(which, department=staff.department_id)
    row = await fetch_row(_LAST, standing.id)
    if row is None or status not in DECLARED:
        raise DeliveryTransitionRefused(state=standing.state.value, move=status.value)
    node = Node(status=status.value, raw_code=status.value, raw_text=DECLARED[status], event_at=at or clock.now())
    track = Track(
        waybill=row["waybill"], company=row["company"], nodes=(node,), complete=False, order_number=row["number"]
    )
    await tracking.hear([track], source="staff", sure=True)
    return await moving.seen(standing.id)


def courier_of(name: str, couriers: Mapping[str, Ordering]) -> Ordering:
    """The courier of this name. Raises CourierInvalid."""
    if (found := couriers.get(name)) is None:
        raise CourierInvalid(fields=[Fault("/courier", "未接入该快递公司")])
    return found


async def _to_send(which: UUID | str, staff: AsStaff) -> Standing:
    standing = await moving.locked(which, department=staff.department_id)
    if standing.method is not Method.POST or standing.direction is not Direction.TO_RESIDENT:
        raise DeliveryNotFound
    if standing.state is D.WAITING and not await postage.is_settled(standing):
        raise PostageUnpaid
    if not may_be_sent(standing):
        raise DeliveryTransitionRefused(state=standing.state.value, move=Move.ORDER.value)
    await ordering.refuse_while_ordering(standing)
    return standing


def may_be_sent(standing: Standing) -> bool:
    """Whether a locked delivery can be given to a courier now."""
    return standing.method is Method.POST and standing.state is D.TO_SEND
