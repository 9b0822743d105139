"""One of every kind of caller, each with what opens their door; and every operation of the API, ready to be called."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from litestar import Litestar

from api.openapi import describe
from backend.identity import AsResident, AsStaff
from tests.factories.identity import AgencyCredentials, a_resident, a_staff, an_agency, headers_of, staff_headers_of

DUTIES = (
    *("catalogue.edit", "catalogue.publish", "calendar.edit", "halls.manage", "payments.reconcile", "fees.manage"),
    *("refunds.request", "refunds.approve"),
    *("deliveries.send", "deliveries.hand-over", "pickup-points.manage"),
)


class Callers(NamedTuple):
    """A resident, another one, a member of staff who writes guides and runs halls, and a department's system."""

    resident: AsResident
    other: AsResident
    staff: AsStaff
    agency: AgencyCredentials

    def headers(self, method: str, address: str, body: bytes = b"") -> dict[str, str]:
        """What opens the door of this address; an agency signs the very bytes."""
        if address.startswith("/v1/resident/"):
            return headers_of(self.resident)
        if address.startswith("/v1/staff/"):
            return staff_headers_of(self.staff)
        if address.startswith("/v1/agency/"):
            return dict(self.agency.headers(method, address, body))
        return {}


async def callers() -> Callers:
    """A caller at each door."""
    staff = await a_staff(duties=DUTIES)
    return Callers(await a_resident(), await a_resident(), staff, await an_agency(department_id=staff.department_id))


class Operation(NamedTuple):
    """One operation as the description has it."""

    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.described

    @property
    def example(self) -> Any:
        """The body of the documentation, as JSON; None when it takes none or another type."""
        content = self.described.get("requestBody", {}).get("content", {}).get("application/json", {})
        return content.get("example")

    @property
    def parameters(self) -> list[str]:
        """Names of what may stand in the query."""
        return [each["name"] for each in self.described.get("parameters", []) if each["in"] == "query"]

    def address(self, **values: str) -> str:
        """The path with these values, and something harmless for what was not given."""

        def fill(found: re.Match[str]) -> str:
            name = found[1]
            usual = {"number": "ABCD-0001" if "/cases/" in self.path else "1", "code": "11" * 15 + "1"}
            usual |= {"day": "2026-03-04", "year": "2026"}
            return values.get(name, usual.get(name, "01900000-0000-7000-8000-000000000000"))

        return re.sub(r"\{(\w+)\}", fill, self.path)


@functools.cache
def description(app: Litestar) -> dict[str, Any]:
    """The OpenAPI description, read once: to read its megabyte takes longer than most requests."""
    read: dict[str, Any] = msgspec.json.decode(describe(app))
    return read


def operations(app: Litestar) -> Iterator[Operation]:
    """Every operation of the description."""
    for path, item in description(app)["paths"].items():
        for method, described in item.items():
            if method in {"get", "put", "post", "patch", "delete"}:
                yield Operation(method.upper(), path, described)


def encoded(value: str) -> str:
    """The value as one segment of an address."""
    return quote(value, safe="")
