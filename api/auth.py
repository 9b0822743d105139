"""Who is asking, at each door. A guard finds out and leaves the principal in the scope; a dependency hands it on.

A resident's token that this process has checked before costs a hash and two look-ups, and never a query. Staff
tokens are checked against the database at every request, agency signatures too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import HTTPScope, Scope

from backend.errors import Unauthenticated
from backend.events import act_as
from backend.identity import (
    AsAgency,
    AsResident,
    AsStaff,
    agencies,
    session_watch,
    signatures,
    staff_signing_in,
    tokens,
)
from backend.identity.errors import SessionEnded, TokenInAddress, TokenInvalid, TokenMissing

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]

_IN_ADDRESS = frozenset({b"access_token", b"refresh_token", b"token", b"authorization"})


def bearer(scope: Scope) -> str:
    """The access token of the Authorization header.

    Raises TokenMissing without one, TokenInvalid when there are two headers or another scheme, TokenInAddress when
    the query holds one: it has passed through access logs.
    """
    found = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise TokenInvalid
            found = value
    query = scope["query_string"]
    if query and not _IN_ADDRESS.isdisjoint(pair.partition(b"=")[0].lower() for pair in query.split(b"&")):
        raise TokenInAddress
    if found is None:
        raise TokenMissing
    if found[:7].lower() != b"bearer ":
        raise TokenInvalid
    return found[7:].decode("latin-1")


async def residents_only(connection: Connection, _: BaseRouteHandler) -> None:
    """The guard of the residents' door. Raises the 401s of `bearer` and `tokens.check`, and SessionEnded."""
    scope = connection.scope
    token = bearer(scope)
    if session_watch.is_stale():
        await session_watch.ensure_fresh()
    resident = tokens.get_remembered(token, session_watch.is_live)
    if resident is None:
        resident = _checked(token)
    scope["auth"] = resident
    act_as("resident", resident.id)


def known_resident(scope: Scope) -> AsResident | None:
    """The resident whose token this process has checked before; None when the guard has to look more closely."""
    if session_watch.is_stale():
        return None
    try:
        token = bearer(scope)
    except Unauthenticated:
        return None
    found: AsResident | None = tokens.get_remembered(token, session_watch.is_live)
    return found


def _checked(token: str) -> AsResident:
    checked = tokens.check_token(token, "resident")
    if not session_watch.is_live(checked.session_id):
        raise SessionEnded
    resident = AsResident(checked.subject, checked.session_id)
    tokens.remember_token(token, checked, resident)
    return resident


async def staff_only(connection: Connection, _: BaseRouteHandler) -> None:
    """The guard of the staff door: the token, and what the database says of its owner at this moment."""
    token = bearer(connection.scope)
    await session_watch.ensure_fresh()
    checked = tokens.check_token(token, "staff")
    staff = await staff_signing_in.authenticate_staff(checked.subject, checked.session_id)
    connection.scope["auth"] = staff
    act_as("staff", staff.id)


async def agencies_only(connection: Connection, _: BaseRouteHandler) -> None:
    """The guard of the agencies' door: the signature over this very request, body bytes included."""
    scope: HTTPScope = connection.scope  # type: ignore[assignment]
    signed = signatures.parse_headers(list(scope["headers"]))
    assert isinstance(connection, Request)
    # The request keeps the bytes that we read, so the handler still finds its body.
    body = await connection.body()
    agency = await agencies.authenticate_agency(
        signed,
        method=scope["method"],
        path=(scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0],
        query=scope["query_string"],
        body=body,
    )
    scope["auth"] = agency
    act_as("agency", agency.id)


def duty(name: str) -> Guard:
    """A guard behind `staff_only`: only staff with this duty ("catalogue.publish") may go on."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        provide_staff(connection.scope).require(name)

    return guard


def provide_resident(scope: Scope) -> AsResident:
    """Whom `residents_only` let in."""
    found = scope["auth"]
    assert isinstance(found, AsResident)
    return found


def provide_staff(scope: Scope) -> AsStaff:
    """Whom `staff_only` let in."""
    found = scope["auth"]
    assert isinstance(found, AsStaff)
    return found


def provide_agency(scope: Scope) -> AsAgency:
    """Whom `agencies_only` let in."""
    found = scope["auth"]
    assert isinstance(found, AsAgency)
    return found
