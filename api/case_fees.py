"""The fees of a case, as a department's staff and its system raise and list them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from backend.payments import FeeDetail


class ChargeIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A charge of the guide in force, and its quantity."""

    charge_ref: Annotated[str, Meta(min_length=1, max_length=40, description="办事指南中收费项目的 ref")]
    quantity: Annotated[int, Meta(ge=1, le=1000)] = 1


class CaseFees(Struct):
    """The fees of one case, oldest first."""

    items: list[FeeDetail]
