"""The fees of a case, as a department's staff and its system raise and list them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from backend.payments import FeeDetail


class ChargeIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A charge of the guide in force, and its quantity."""

    charge_ref: Annotated[str, Meta(min_length=1, max_length=40, description="办事指南中收费项目的 ref")]
    quantity: Annotated[int, Meta(ge=1, le=1000)] = 1


class CaseFees(Struct):
    """The fees of one case, oldest first."""

    items: list[FeeDetail]


FEE: dict[str, Any] = {
    "id": "0194a1b2-fee0-7fff-8000-0bbb0ccc0001",
    "subject_kind": "case",
    "subject_id": "0194a1b2-eeee-7fff-8000-0bbb0ccc0ddd",
    "charge_ref": "copy",
    "name": "档案复制费",
    "basis": "《城建档案收费办法》",
    "unit_fen": 50,
    "quantity": 12,
    "amount_fen": 600,
    "state": "open",
    "state_name": "待缴",
    "state_at": "2026-11-20T02:00:00Z",
    "raised_at": "2026-11-20T02:00:00Z",
    "reason": None,
}
"""A fee, as the examples of both doors show it."""
