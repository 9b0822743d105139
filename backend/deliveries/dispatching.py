"""Dispatching by the office: one parcel, a waybill bought elsewhere; labels, cancelled orders, sending again.

Staff with the duty `deliveries.send` send what belongs to their own department. Batches are in batching.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from backend import clock
from backend.crypto import open_sealed
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.deliveries import anomalies, ordering, postage, tracking, transitions, unmatched
from backend.deliveries.errors import (
    CourierInvalid,
    CourierOrderInProgress,
    DeliveryAddressFixed,
    DeliveryAlreadyChosen,
    DeliveryNotFound,
    DeliveryTransitionRefused,
    PostageUnpaid,
    ReceiverForgotten,
    WaybillInvalid,
    WaybillTaken,
)
from backend.deliveries.events import ReceiverRevealed, ShipmentOrdered
from backend.deliveries.lifecycle import Transition
from backend.deliveries.transitions import DeliveryRow
from backend.errors import Fault, raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.partners.courier.port import Node, Ordering, Track, Tracking
from backend.partners.errors import PartnerBusy, PartnerMisconfigured, PartnerRefused, PartnerUnreachable
from backend.settings import settings
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, ProblemKind
from models.shipments import TrackStatus

SEND = "deliveries.send"
"""The duty to send for one's department."""
WAYBILL = re.compile(r"[0-9A-Z]{6,32}", re.ASCII)
_COMPANY = re.compile(r"[a-z][a-z0-9_]{1,31}", re.ASCII)
DECLARED = {TrackStatus.DELIVERED: "经办人员登记：已签收", TrackStatus.RETURNED: "经办人员登记：已退回",
            TrackStatus.LOST: "经办人员登记：快递公司确认丢失"}  # fmt: skip
"""The outcomes that the office may declare after a call with the courier."""
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


@raises(DutyMissing, DeliveryNotFound, DeliveryTransitionRefused, PostageUnpaid, CourierOrderInProgress, CourierInvalid)
async def send_delivery(
    staff: AsStaff, which: UUID | str, courier: str, *, couriers: Mapping[str, Ordering], batch: UUID | None = None
) -> DeliveryRow:
    """Order the collection of one delivery at this courier. The order itself is a job; see `ordering`.

    Raises DutyMissing, DeliveryNotFound, CourierInvalid, DeliveryTransitionRefused when it is not to be sent by post
    now, PostageUnpaid, CourierOrderInProgress.
    """
    staff.require(SEND)
    chosen = get_courier(courier, couriers)
    async with transaction():
        delivery = await _to_send(which, staff)
        await ordering.begin_order(delivery, chosen, batch=batch)
        await anomalies.resolve_problems(delivery.id, FAILED)
    return delivery


@raises(
    DutyMissing,
    DeliveryNotFound,
    DeliveryTransitionRefused,
    PostageUnpaid,
    CourierOrderInProgress,
    WaybillInvalid,
    WaybillTaken,
)
async def enter_department_waybill(
    staff: AsStaff, which: UUID | str, *, company: str, waybill: str, trackers: Mapping[str, Tracking]
) -> DeliveryRow:
    """Enter the waybill of a parcel that the office brought to a courier itself. `company` is kuaidi100's code.

    Raises DutyMissing, DeliveryNotFound, WaybillInvalid, WaybillTaken; otherwise what `send_delivery` raises.
    """
    staff.require(SEND)
    check_waybill(company, waybill)
    async with transaction():
        delivery = await _to_send(which, staff)
        await order_by_hand(delivery, company, waybill, trackers=trackers)
        await anomalies.resolve_problems(delivery.id, FAILED)
    return delivery


def check_waybill(company: str, waybill: str) -> str:
    """Return the number in one spelling. Raises WaybillInvalid."""
    number = waybill.strip().upper()
    if not WAYBILL.fullmatch(number) or not _COMPANY.fullmatch(company):
        raise WaybillInvalid(fields=[Fault("/waybill", "运单号为 6 至 32 位字母数字，快递公司为其编码")])
    return number


async def order_by_hand(delivery: DeliveryRow, company: str, waybill: str, *, trackers: Mapping[str, Tracking]) -> None:
    """Make a locked delivery that is TO_SEND ORDERED, tracked by this number from now on.

    Raises WaybillInvalid, WaybillTaken.
    """
    number = check_waybill(company, waybill)
    await unmatched.lock_waybill(number)
    if await fetch_value(_TAKEN, number, company):
        raise WaybillTaken
    own = next((name for name, each in trackers.items() if name == company and each.pushes), None)
    now = clock.now()
    shipment_id = await ordering.begin_manual_shipment(delivery, company)
    query_after = now + timedelta(minutes=settings().courier_poll_minutes)
    await execute(_BY_HAND, shipment_id, number, company, own or settings().courier_tracker, now, query_after)
    await transitions.apply_transition(delivery, Transition.ORDER, tracking.MANUAL, now)
    await unmatched.reapply_pushes(number)
    attempt: int = await fetch_value("SELECT attempt FROM shipments WHERE id = $1", shipment_id)
    await record(
        ShipmentOrdered(shipment_id=shipment_id, delivery_id=delivery.id, courier=tracking.MANUAL, attempt=attempt)
    )


@raises(
    DutyMissing,
    DeliveryNotFound,
    DeliveryTransitionRefused,
    PartnerBusy,
    PartnerUnreachable,
    PartnerMisconfigured,
    PartnerRefused,
)
async def get_label(staff: AsStaff, which: UUID | str, *, couriers: Mapping[str, Ordering]) -> str | None:
    """Return the label of the parcel (data or a URL); None where the courier prints it.

    The label names the receiver, so the ledger records who read it.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused before it is ordered, PartnerBusy,
    PartnerUnreachable, PartnerRefused.
    """
    staff.require(SEND)
    delivery = await transitions.get_row(which, department=staff.department_id)
    row = await fetch_row(_LAST, delivery.id)
    if row is None or row["ended_at"] is not None:
        raise DeliveryTransitionRefused(state=delivery.state.value, transition="label")
    courier = couriers.get(row["courier"])
    if row["label"] is not None:
        found: str | None = open_sealed(row["label"], where="shipments.label", row=row["id"])
    else:
        found = await courier.label(row["number"], row["waybill"]) if courier is not None else None
    if found is not None:
        async with transaction():
            if row["label"] is None:
                await execute(_LABEL, row["id"], ordering.sealed_label(row["id"], found))
            await record(ReceiverRevealed(delivery_id=delivery.id, staff_id=staff.id))
    return found


@raises(
    DutyMissing,
    DeliveryNotFound,
    DeliveryAddressFixed,
    DeliveryTransitionRefused,
    CourierInvalid,
    PartnerBusy,
    PartnerUnreachable,
    PartnerMisconfigured,
    PartnerRefused,
)
async def undo_order(staff: AsStaff, which: UUID | str, *, couriers: Mapping[str, Ordering]) -> DeliveryRow:
    """Cancel an order before the courier has collected the parcel; the delivery is TO_SEND again.

    An order that the courier has not answered yet is given up.

    Raises DutyMissing, DeliveryNotFound, DeliveryAddressFixed when it is too late, DeliveryTransitionRefused,
    CourierInvalid, PartnerBusy, PartnerUnreachable.
    """
    staff.require(SEND)
    before = await transitions.get_row(which, department=staff.department_id)
    cancelled = await ordering.cancel_at_courier(before, couriers=couriers)
    async with transaction():
        delivery = await transitions.lock_row(before.id)
        if cancelled is not None:
            await ordering.apply_cancelled(delivery, cancelled, "staff")
        elif not await ordering.give_up_order(delivery):
            raise DeliveryTransitionRefused(state=delivery.state.value, transition=Transition.UNDO_ORDER.value)
    return delivery


@raises(DutyMissing, DeliveryNotFound, DeliveryTransitionRefused, DeliveryAlreadyChosen, ReceiverForgotten)
async def resend_delivery(staff: AsStaff, which: UUID | str) -> DeliveryRow:
    """Make a returned or lost delivery TO_SEND again, to the resident's address, which they may change first.

    `send_delivery` sends it as another shipment.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused; DeliveryAlreadyChosen when another delivery of the
    subject has begun meanwhile; ReceiverForgotten when its person was erased.
    """
    staff.require(SEND)
    async with transaction():
        delivery = await transitions.lock_row(which, department=staff.department_id)
        other = await fetch_value(
            _OTHER, delivery.subject_kind, delivery.subject_id, delivery.direction.value, delivery.id
        )
        if delivery.state in (D.RETURNED, D.LOST):
            if other:
                raise DeliveryAlreadyChosen
            if not await fetch_value(_ADDRESSED, delivery.id):
                raise ReceiverForgotten
        await transitions.apply_transition(delivery, Transition.RESEND, "staff")
        await anomalies.resolve_problems(delivery.id, (ProblemKind.RETURNED, ProblemKind.LOST, ProblemKind.REFUSED))
    return delivery


@raises(DutyMissing, DeliveryNotFound, DeliveryTransitionRefused)
async def declare_outcome(
    staff: AsStaff, which: UUID | str, status: TrackStatus, at: datetime | None = None
) -> DeliveryRow:
    """Declare what the courier reported by phone: signed for, returned or lost. It counts as a node of the timeline.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused when nothing is under way or the status is none of
    these.
    """
    staff.require(SEND)
    delivery = await transitions.get_row(which, department=staff.department_id)
    row = await fetch_row(_LAST, delivery.id)
    if row is None or status not in DECLARED:
        raise DeliveryTransitionRefused(state=delivery.state.value, transition=status.value)
    node = Node(status=status.value, raw_code=status.value, raw_text=DECLARED[status], event_at=at or clock.now())
    track = Track(
        waybill=row["waybill"], company=row["company"], nodes=(node,), complete=False, order_number=row["number"]
    )
    await tracking.ingest_tracks([track], source="staff", trusted=True)
    return await transitions.get_row(delivery.id)


def get_courier(name: str, couriers: Mapping[str, Ordering]) -> Ordering:
    """Return the courier of this name. Raises CourierInvalid."""
    if (found := couriers.get(name)) is None:
        raise CourierInvalid(fields=[Fault("/courier", "未接入该快递公司")])
    return found


async def _to_send(which: UUID | str, staff: AsStaff) -> DeliveryRow:
    delivery = await transitions.lock_row(which, department=staff.department_id)
    if delivery.method is not Method.POST or delivery.direction is not Direction.TO_RESIDENT:
        raise DeliveryNotFound
    if delivery.state is D.WAITING and not await postage.is_settled(delivery):
        raise PostageUnpaid
    if not may_be_sent(delivery):
        raise DeliveryTransitionRefused(state=delivery.state.value, transition=Transition.ORDER.value)
    await ordering.refuse_while_ordering(delivery)
    return delivery


def may_be_sent(delivery: DeliveryRow) -> bool:
    """Whether a locked delivery can be given to a courier now."""
    return delivery.method is Method.POST and delivery.state is D.TO_SEND
