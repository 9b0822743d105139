"""Nothing is to be sent after all: until the courier has it, and what was paid for postage goes back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from backend import jobs, payments
from backend.database import transaction
from backend.deliveries import moving, ordering, postage
from backend.deliveries.errors import CourierInvalid, DeliveryAddressFixed
from backend.deliveries.lifecycle import Move
from backend.deliveries.moving import Standing
from backend.identity.principals import AsResident
from backend.partners import in_use
from backend.partners.courier.port import Ordering
from models.deliveries import DeliveryState

WHY = "寄送已取消"
"""What the payer reads about the postage that goes back."""


async def cancel(resident: AsResident, which: UUID | str, *, couriers: Mapping[str, Ordering]) -> Standing:
    """Have nothing sent; the delivery. One that is cancelled already stays so.

    Raises DeliveryNotFound, DeliveryAddressFixed when the courier has it, CourierOrderInProgress while we wait for
    the courier's answer, DeliveryTransitionRefused when it has come to its end, PartnerBusy, PartnerUnreachable.
    """
    return await _cancel(which, "resident", owner=resident.id, couriers=couriers)


async def _cancel(
    which: UUID | str, cause: str, *, owner: UUID | None = None, couriers: Mapping[str, Ordering]
) -> Standing:
    before = await moving.seen(which, owner=owner)
    undone = await ordering.undo_at_courier(before, couriers=couriers)
    async with transaction():
        standing = await moving.locked(before.id)
        if standing.state is DeliveryState.CANCELLED:
            return standing
        if undone is not None:
            await ordering.undone(standing, undone, cause)
        await ordering.refuse_while_ordering(standing)
        await end(standing, cause)
    return standing


async def end(standing: Standing, cause: str) -> None:
    """Cancel a locked delivery that no courier knows of; what was paid for it goes back. Raises
    DeliveryTransitionRefused."""
    await moving.move(standing, Move.CANCEL, cause)
    if standing.fee_id is not None:
        await payments.cancel_fees(postage.SUBJECT, standing.id, WHY)


async def later(standing: Standing, cause: str) -> None:
    """Have a delivery cancelled by a job that can speak to its courier. Belongs inside transaction()."""
    payload = {"delivery_id": str(standing.id), "cause": cause}
    await jobs.enqueue("deliveries.cancel", payload, key=f"deliveries.cancel:{standing.id}")


@jobs.job("deliveries.cancel")
async def _cancel_job(payload: dict[str, Any]) -> None:
    """The office wants nothing sent. What the courier has by now goes its way."""
    delivery_id = UUID(payload["delivery_id"])
    if await ordering.is_ordering(delivery_id):
        raise jobs.Later(timedelta(minutes=1))
    try:
        await _cancel(delivery_id, payload["cause"], couriers=in_use().couriers)
    except (DeliveryAddressFixed, CourierInvalid):
        return
