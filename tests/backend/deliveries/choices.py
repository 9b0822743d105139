"""What may be chosen, and what residents choose."""

from __future__ import annotations

from typing import Any

from uuid_utils.compat import uuid7

from backend.deliveries.choosing import DeliveryChoice, DeliveryOffer
from backend.identity.principals import AsResident
from models.deliveries import Method
from tests.factories.deliveries import an_address


def an_offer(**changes: Any) -> DeliveryOffer:
    """A certificate that exists, by post or at a counter."""
    values: dict[str, Any] = {
        "subject_kind": "case",
        "subject_id": uuid7(),
        "contents": "居住证",
        "methods": frozenset(Method),
        "department_id": uuid7(),
        "ready": True,
        **changes,
    }
    return DeliveryOffer(**values)


async def by_post(resident: AsResident, **changes: Any) -> DeliveryChoice:
    return DeliveryChoice(method=Method.POST, address_id=(await an_address(resident)).id, **changes)
