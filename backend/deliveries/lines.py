"""One delivery as a line of a list, in people's words: what residents and the office read alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend.deliveries.naming import METHOD_NAMES, company_name, state_name
from models.deliveries import DeliveryState, Direction, Method


class Line(Struct, frozen=True, kw_only=True):
    """What every list says of a delivery."""

    number: str
    subject_kind: str
    subject_id: UUID
    direction: Direction
    method: Method
    method_name: str
    contents: str
    state: DeliveryState
    state_name: str
    state_at: datetime
    company_name: str | None
    waybill: str | None
    kept_until: date | None


def values_of(kind: type[Line], row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The fields of this kind of line out of a row with the columns of a delivery and its parcel's company, in words;
    `more` goes before the row."""
    direction, method, state = Direction(row["direction"]), Method(row["method"]), DeliveryState(row["state"])
    values: dict[str, Any] = {
        **row,
        "direction": direction,
        "method": method,
        "method_name": METHOD_NAMES[method],
        "state": state,
        "state_name": state_name(state, direction),
        "company_name": company_name(row["company"]) if row["company"] else None,
        **more,
    }
    return {name: values[name] for name in kind.__struct_fields__ if name in values}
