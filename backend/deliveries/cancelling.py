"""Cancelling a delivery, until the courier has the parcel; postage that was paid is refunded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from backend import jobs, payments
from backend.database import transaction
from backend.deliveries import ordering, postage, transitions
from backend.deliveries.errors import (
    CourierInvalid,
    CourierOrderInProgress,
    DeliveryAddressFixed,
    DeliveryNotFound,
    DeliveryTransitionRefused,
)
from backend.deliveries.lifecycle import Transition
from backend.deliveries.transitions import DeliveryRow
from backend.errors import raises
from backend.identity import AsResident
from backend.partners import in_use
from backend.partners.courier.port import Ordering
from backend.partners.errors import PartnerBusy, PartnerMisconfigured, PartnerUnreachable
from models.deliveries import DeliveryState

WHY = "寄送已取消"
"""What the payer reads about the refunded postage."""


@raises(
    DeliveryNotFound,
    DeliveryAddressFixed,
    CourierOrderInProgress,
    DeliveryTransitionRefused,
    PartnerBusy,
    PartnerUnreachable,
    PartnerMisconfigured,
    CourierInvalid,
)
async def cancel_delivery(resident: AsResident, which: UUID | str, *, couriers: Mapping[str, Ordering]) -> DeliveryRow:
    """Cancel a delivery and return it. A cancelled one stays cancelled.

    Raises DeliveryNotFound, DeliveryAddressFixed when the courier has the parcel, CourierOrderInProgress while the
    courier has not answered, DeliveryTransitionRefused when the delivery has ended, PartnerBusy, PartnerUnreachable.
    """
    return await _cancel(which, "resident", owner=resident.id, couriers=couriers)


async def _cancel(
    which: UUID | str, cause: str, *, owner: UUID | None = None, couriers: Mapping[str, Ordering]
) -> DeliveryRow:
    before = await transitions.get_row(which, owner=owner)
    cancelled = await ordering.cancel_at_courier(before, couriers=couriers)
    async with transaction():
        delivery = await transitions.lock_row(before.id)
        if delivery.state is DeliveryState.CANCELLED:
            return delivery
        if cancelled is not None:
            await ordering.apply_cancelled(delivery, cancelled, cause)
        await ordering.refuse_while_ordering(delivery)
        await cancel_locked(delivery, cause)
    return delivery


async def cancel_locked(delivery: DeliveryRow, cause: str) -> None:
    """Cancel a locked delivery without an order at a courier; its postage is refunded.

    Raises DeliveryTransitionRefused.
    """
    await transitions.apply_transition(delivery, Transition.CANCEL, cause)
    if delivery.fee_id is not None:
        await payments.cancel_fees(postage.SUBJECT, delivery.id, WHY)


async def enqueue_cancel(delivery: DeliveryRow, cause: str) -> None:
    """Enqueue the cancellation of a delivery, for a job that may call its courier. Belongs inside transaction()."""
    payload = {"delivery_id": str(delivery.id), "cause": cause}
    await jobs.enqueue("deliveries.cancel", payload, key=f"deliveries.cancel:{delivery.id}")


@jobs.job("deliveries.cancel")
async def _cancel_job(payload: dict[str, Any]) -> None:
    """Cancel for the office. A parcel that the courier has by now stays on its way."""
    delivery_id = UUID(payload["delivery_id"])
    if await ordering.is_ordering(delivery_id):
        raise jobs.Later(timedelta(minutes=1))
    try:
        await _cancel(delivery_id, payload["cause"], couriers=in_use().couriers)
    except (DeliveryAddressFixed, CourierInvalid):
        return
