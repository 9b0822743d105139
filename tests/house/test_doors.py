"""Every address stands behind the guard of its door, or is named here as open, with what keeps it safe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from api import auth

GUARDED = {
    "/v1/resident/": auth.residents_only,
    "/v1/staff/": auth.staff_only,
    "/v1/agency/": auth.agencies_only,
}
OPEN = {
    "POST /v1/public/sessions": "proves who it is by WeChat's code; limited, closed when the counter is lost",
    "POST /v1/public/sessions/refresh": "proves who it is by the refresh token; limited",
    "POST /v1/public/case-lookups": "needs the number and the last four of the id document; limited, masked",
    "POST /v1/staff/sessions": "proves who it is by password and one-time code; limited",
    "GET /v1/callbacks/wechat": "proves itself by WeChat's signature over token, time and nonce",
    "POST /v1/callbacks/wechat": "proves itself by WeChat's signature, or by encryption under our key",
    "POST /v1/callbacks/wechat-pay": "proves itself by WeChat Pay's signature over the raw body",
    "POST /v1/callbacks/alipay": "proves itself by Alipay's signature over the form",
    "POST /v1/callbacks/courier/{name}": "proves itself by the courier's signature over what it pushes",
    "POST /v1/callbacks/courier/{name}/{token}": "an address that nobody guesses; nothing final is believed of it",
    "POST /v1/callbacks/sms/{name}/{token}": "an address that nobody guesses; a lie costs one message more, none less",
    "GET /v1/public/problems": "a list of the program's own",
    "GET /v1/public/jwks": "public keys",
    "GET /.well-known/jwks.json": "public keys",
    "GET /v1/public/lifecycle/cases": "a table of the program's own",
    "GET /v1/public/lifecycle/appointments": "a table of the program's own",
    "GET /v1/public/lifecycle/deliveries": "a table of the program's own",
    "GET /v1/public/pickup-points": "published counters",
    "GET /v1/public/pickup-points/{point_id}": "published counters",
    "GET /v1/public/halls/{hall_id}/board": "queue numbers, which hang on the hall's wall; limited",
    "GET /v1/public/halls/{hall_id}/board/stream": "the same; limited, and so many at once",
    "GET /v1/public/halls/{hall_id}/free-places": "how many places are left, nobody's name; limited",
    "GET /v1/public/lines/{line_id}/draws/{day}": "the proof of a draw, which is for everybody; limited",
    "GET /v1/public/receipts/{number}": "needs the number and the code on the paper; limited, names nobody",
    "GET /v1/public/calendar/{year}": "published holidays",
    "GET /v1/public/items": "published guides",
    "GET /v1/public/items/{code}": "published guides",
    "GET /v1/public/item-facets": "counts of published guides",
    "GET /v1/public/guide-words": "words of published guides",
    "GET /v1/public/regions": "official divisions",
    "GET /v1/public/departments": "published departments",
    "GET /v1/public/halls": "published halls",
    "GET /v1/public/halls/{hall_id}": "published halls",
    "GET /healthz": "says that we run",
    "GET /readyz": "says whether we are ready",
    "GET /metrics": "counts without personal data; the edge keeps it inside",
    "GET /openapi.json": "this description; off in production",
    "GET /openapi": "this description, where the framework puts it",
    "GET /openapi/openapi.json": "this description, where the framework puts it",
    "GET /openapi/{path}": "this description, where the framework puts it",
    "GET /docs": "the page of the description; off in production",
    "GET /docs/files/{file_path}": "its files",
}
"""Addresses that need no sign-in, and why that is right."""
LIMITED = {key for key, why in OPEN.items() if "limited" in why}


def routes(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """Every method and address with its handler; parameters by their names alone."""
    for route in app.routes:
        path = "/".join(
            "{" + part.strip("{}").partition(":")[0] + "}" if part.startswith("{") else part
            for part in route.path.split("/")
        )
        for handler in getattr(route, "route_handlers", []):
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield f"{method} {path}", handler


def guards(handler: HTTPRouteHandler) -> list[Any]:
    return list(handler.resolve_guards())


def test_every_address_is_guarded_or_named_as_open(app: Litestar):
    unguarded = []
    for key, handler in routes(app):
        path = key.split(" ")[1]
        wanted = next((guard for door, guard in GUARDED.items() if path.startswith(door)), None)
        if wanted is None or wanted not in guards(handler):
            unguarded.append(key)

    assert set(unguarded) == OPEN.keys()


def test_open_doors_that_prove_an_identity_are_limited(app: Litestar):
    for key, handler in routes(app):
        if key in LIMITED:
            assert any("limit" in guard.__qualname__ for guard in guards(handler)), key


def test_no_door_has_the_guard_of_another(app: Litestar):
    for key, handler in routes(app):
        path = key.split(" ")[1]
        for door, guard in GUARDED.items():
            if not path.startswith(door):
                assert guard not in guards(handler), key


def filled(path: str) -> str:
    """The address with something in the place of its parameters."""
    for name, value in {"number": "1", "code": "1", "day": "2026-03-04", "year": "2026"}.items():
        path = path.replace("{" + name + "}", value)
    parts = path.split("/")
    return "/".join("01900000-0000-7000-8000-000000000000" if part.startswith("{") else part for part in parts)


async def test_without_proof_every_guarded_address_says_the_same(app: Litestar, client: httpx.AsyncClient):
    for key, _ in routes(app):
        method, path = key.split(" ")
        if key in OPEN or not path.startswith("/v1/"):
            continue
        answer = await client.request(method, filled(path), json={})
        assert answer.status_code == 401, f"{key}: {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert "www-authenticate" in answer.headers


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "PROPFIND"])
async def test_undeclared_methods_are_refused(app: Litestar, client: httpx.AsyncClient, method: str):
    for path in sorted({key.split(" ")[1] for key, _ in routes(app)}):
        answer = await client.request(method, filled(path))
        assert answer.status_code in (404, 405), f"{method} {path}: {answer.status_code}"
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
async def test_a_header_changes_no_method(client: httpx.AsyncClient, header: str):
    answer = await client.post("/v1/public/problems", headers={header: "GET"})

    assert answer.status_code == 405


@pytest.mark.parametrize(
    "path",
    ["/schema", "/debug", "/admin", "/.env", "/.git/config", "/docs/files/../../app.py", "/docs/files/%2e%2e/app.py"],
)
async def test_what_should_not_be_there_is_not_there(client: httpx.AsyncClient, path: str):
    assert (await client.get(path)).status_code == 404
