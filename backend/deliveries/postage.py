"""Who pays the courier, and how much: the guide's own charge first, otherwise the rule of the place.

What a resident pays in advance is a fee of the delivery and goes through payments; the delivery goes on when it is
settled, and what was paid goes back by itself when the delivery does not happen.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from backend import payments
from backend.database import execute, fetch_value, transaction
from backend.deliveries import moving
from backend.deliveries.lifecycle import Move
from backend.deliveries.moving import Standing
from backend.events import EventMeta
from backend.payments.events import FeePaid, FeeWaived
from backend.settings import SettingsError, settings
from models.deliveries import DeliveryState, Method, Postage
from models.payments import FeeState

SUBJECT = "delivery"
"""Subject kind of the fees."""
CHARGE = "postage"
"""Ref of the charge in a guide, and of the fee. A fee that was paid and given back stays what it was; the next one is
`postage-2`."""
MOST_FEES = 20
NAME = "证照邮寄费"
SETTLED = frozenset({FeeState.PAID.value, FeeState.WAIVED.value})
ZONES = ("city", "province", "country")

_REGION_OF = "SELECT r.code FROM departments d JOIN regions r ON r.id = d.region_id WHERE d.id = $1"
_KEEP = "UPDATE deliveries SET postage = $2, postage_fen = $3, fee_id = $4, version = version + 1 WHERE id = $1"


class Charged(Struct, frozen=True, kw_only=True):
    """What the published guide charges for posting its result."""

    amount_fen: int
    name: str = NAME
    basis: str = ""
    item_version_id: UUID | None = None


class Quote(Struct, frozen=True, kw_only=True):
    """Who pays, and how much in fen if it is the resident in advance; with the rule that says so."""

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


async def quote(
    charged: Charged | None, department_id: UUID | None, region_code: str, *, collect: bool = False
) -> Quote:
    """What posting to this region costs whom. `collect`: the resident would rather pay the courier at the door.

    A resident who pays nothing has nothing to collect: then the wish changes nothing.
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


async def charge(standing: Standing, quoted: Quote) -> None:
    """Have the postage of a locked delivery be this from now on.

    What was paid for it stays paid when only the address changes; what is not owed any more is cancelled or goes back.
    Belongs inside transaction().
    """
    paid = standing.postage is Postage.RESIDENT and await is_settled(standing)
    if quoted.postage is Postage.RESIDENT and paid and standing.fee_id is not None:
        return
    if standing.fee_id is not None:
        await payments.cancel_fees(SUBJECT, standing.id, "领取方式已变更")
        standing.fee_id = None
    standing.postage, standing.postage_fen = quoted.postage, quoted.fen
    if quoted.postage is Postage.RESIDENT:
        standing.fee_id = await _raise(standing, quoted)
    await execute(_KEEP, standing.id, standing.postage.value, standing.postage_fen, standing.fee_id)
    standing.version += 1


async def _raise(standing: Standing, quoted: Quote) -> UUID:
    """The fee, under the first name that is free: one that was paid and given back is never opened again."""
    for count in range(1, MOST_FEES):
        fee_id = await payments.raise_fee(
            subject_kind=SUBJECT,
            subject_id=standing.id,
            charge_ref=CHARGE if count == 1 else f"{CHARGE}-{count}",
            name=quoted.name,
            basis=quoted.basis,
            unit_fen=quoted.fen,
            resident_id=standing.resident_id,
            department_id=standing.department_id,
            item_version_id=quoted.item_version_id,
            raised_by="system:deliveries",
        )
        if await _state(standing.id, fee_id) != FeeState.CANCELLED:
            return fee_id
    raise RuntimeError(f"{MOST_FEES} fees of one delivery were paid and given back")


async def is_settled(standing: Standing) -> bool:
    """Whether nothing has to be paid before the delivery goes on."""
    if standing.postage is not Postage.RESIDENT:
        return True
    return standing.fee_id is not None and await _state(standing.id, standing.fee_id) in SETTLED


async def _state(delivery_id: UUID, fee_id: UUID) -> str | None:
    fees = await payments.list_subject_fees(SUBJECT, delivery_id)
    return next((fee.state for fee in fees if fee.id == fee_id), None)


async def go_on(standing: Standing, cause: str) -> None:
    """Move a locked delivery on when what is in it exists and the postage is settled; otherwise it waits."""
    if standing.state is DeliveryState.WAITING and standing.ready_at is not None and await is_settled(standing):
        await moving.move(standing, Move.DECIDED, cause)


async def hear_settled(event: FeePaid | FeeWaived, meta: EventMeta) -> None:
    """The postage of a delivery is paid or waived: it goes on."""
    if event.subject_kind != SUBJECT:
        return
    async with transaction():
        standing = await moving.locked(event.subject_id)
        if standing.method is Method.POST:
            await go_on(standing, "postage")
