"""Who pays the courier, and how much: the guide's own charge first, otherwise the installation's rule.

What a resident pays in advance is a fee of the delivery and goes through payments; the delivery goes on when it is
settled, and what was paid is refunded when the delivery does not happen.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from backend import payments
from backend.database import execute, fetch_value, transaction
from backend.deliveries import transitions
from backend.deliveries.lifecycle import Transition
from backend.deliveries.transitions import DeliveryRow
from backend.events import EventMeta
from backend.payments.events import FeePaid, FeeWaived
from backend.settings import SettingsError, settings
from models.deliveries import DeliveryState, Method, Postage
from models.payments import FeeState

SUBJECT = "delivery"
"""Subject kind of the fees."""
CHARGE = "postage"
"""Ref of the charge in a guide, and of the fee. A fee that was paid and refunded stays as it was; the next one is
`postage-2`."""
MOST_FEES = 20
NAME = "证照邮寄费"
SETTLED = frozenset({FeeState.PAID.value, FeeState.WAIVED.value})
ZONES = ("city", "province", "country")

_REGION_OF = "SELECT r.code FROM departments d JOIN regions r ON r.id = d.region_id WHERE d.id = $1"
_KEEP = "UPDATE deliveries SET postage = $2, postage_fen = $3, fee_id = $4, version = version + 1 WHERE id = $1"


class PostageCharge(Struct, frozen=True, kw_only=True):
    """What the published guide charges for posting its result."""

    amount_fen: int
    name: str = NAME
    basis: str = ""
    item_version_id: UUID | None = None


class Quote(Struct, frozen=True, kw_only=True):
    """Who pays, and how much in fen if the resident pays in advance; with the legal basis."""

    postage: Postage
    fen: int = 0
    name: str = NAME
    basis: str = ""
    item_version_id: UUID | None = None


def tariff() -> dict[str, int]:
    """What a resident pays by zone, in fen. Raises SettingsError."""
    try:
        pairs = (part.partition(":") for part in settings().postage_tariff.split(","))
        found = {zone.strip(): int(fen) for zone, _, fen in pairs}
    except ValueError as error:
        raise SettingsError("POSTAGE_TARIFF must read city:1000,province:1200,country:2000") from error
    if set(found) != set(ZONES) or min(found.values()) < 0:
        raise SettingsError(f"POSTAGE_TARIFF must name {', '.join(ZONES)}, each with an amount in fen")
    return found


def zone(origin: str | None, goal: str) -> str:
    """How far it goes by the codes of the regions: within a city, within a province, or further."""
    if origin is None or origin[:2] != goal[:2]:
        return "country"
    return "city" if origin[:4] == goal[:4] else "province"


async def quote_postage(
    charged: PostageCharge | None, department_id: UUID | None, region_code: str, *, collect: bool = False
) -> Quote:
    """Return who pays for posting to this region, and how much. `collect`: the resident prefers to pay at the door.

    Where the resident pays nothing, the preference changes nothing.
    """
    payer = Postage.RESIDENT if charged else Postage(settings().postage_payer)
    if payer is not Postage.RESIDENT:
        return Quote(postage=payer)
    if collect and settings().postage_collect:
        return Quote(postage=Postage.COLLECT)
    if charged is not None:
        return Quote(
            postage=payer,
            fen=charged.amount_fen,
            name=charged.name,
            basis=charged.basis,
            item_version_id=charged.item_version_id,
        )
    origin = await fetch_value(_REGION_OF, department_id) if department_id else None
    fen = tariff()[zone(origin, region_code)]
    return Quote(postage=payer if fen else Postage.FREE, fen=fen, basis=settings().postage_basis)


async def charge_postage(delivery: DeliveryRow, quoted: Quote) -> None:
    """Set the postage of a locked delivery.

    What was paid stays paid when only the address changes; a fee that is not owed any more is cancelled or refunded.
    Belongs inside transaction().
    """
    paid = delivery.postage is Postage.RESIDENT and await is_settled(delivery)
    if quoted.postage is Postage.RESIDENT and paid and delivery.fee_id is not None:
        return
    if delivery.fee_id is not None:
        await payments.cancel_fees(SUBJECT, delivery.id, "领取方式已变更")
        delivery.fee_id = None
    delivery.postage, delivery.postage_fen = quoted.postage, quoted.fen
    if quoted.postage is Postage.RESIDENT:
        delivery.fee_id = await _raise(delivery, quoted)
    await execute(_KEEP, delivery.id, delivery.postage.value, delivery.postage_fen, delivery.fee_id)
    delivery.version += 1


async def _raise(delivery: DeliveryRow, quoted: Quote) -> UUID:
    """Raise the fee under the first ref that is free: one that was paid and refunded is never opened again."""
    for count in range(1, MOST_FEES):
        fee_id = await payments.raise_fee(
            subject_kind=SUBJECT,
            subject_id=delivery.id,
            charge_ref=CHARGE if count == 1 else f"{CHARGE}-{count}",
            name=quoted.name,
            basis=quoted.basis,
            unit_fen=quoted.fen,
            resident_id=delivery.resident_id,
            department_id=delivery.department_id,
            item_version_id=quoted.item_version_id,
            raised_by="system:deliveries",
        )
        if await _state(delivery.id, fee_id) != FeeState.CANCELLED:
            return fee_id
    raise RuntimeError(f"{MOST_FEES} fees of one delivery were paid and refunded")


async def is_settled(delivery: DeliveryRow) -> bool:
    """Whether nothing has to be paid before the delivery goes on."""
    if delivery.postage is not Postage.RESIDENT:
        return True
    return delivery.fee_id is not None and await _state(delivery.id, delivery.fee_id) in SETTLED


async def _state(delivery_id: UUID, fee_id: UUID) -> str | None:
    fees = await payments.list_subject_fees(SUBJECT, delivery_id)
    return next((fee.state for fee in fees if fee.id == fee_id), None)


async def proceed(delivery: DeliveryRow, cause: str) -> None:
    """Make a locked delivery TO_SEND when its contents exist and its postage is settled; otherwise it waits."""
    if delivery.state is DeliveryState.WAITING and delivery.ready_at is not None and await is_settled(delivery):
        await transitions.apply_transition(delivery, Transition.DECIDED, cause)


async def proceed_when_settled(event: FeePaid | FeeWaived, meta: EventMeta) -> None:
    """Let a delivery proceed when its postage is paid or waived."""
    if event.subject_kind != SUBJECT:
        return
    async with transaction():
        delivery = await transitions.lock_row(event.subject_id)
        if delivery.method is Method.POST:
            await proceed(delivery, "postage")
