"""The fields of a delivery that residents and the office read alike, with Chinese names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend.deliveries.naming import METHOD_NAMES, company_name, state_name
from models.deliveries import DeliveryState, Direction, Method


class DeliveryFields(Struct, frozen=True, kw_only=True):
    """The fields of a delivery in every list."""

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


def fields_of(kind: type[DeliveryFields], row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The fields of this struct from a row with the columns of a delivery and its shipment's company.

    `more` takes precedence over the row.
    """
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
