"""What every request gets, for every address."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from litestar import Litestar

from api.edge import Edge


async def test_health_answers_and_readiness_shows_what_it_checked(client: httpx.AsyncClient):
    assert (await client.get("/healthz")).json() == {"status": "ok"}

    ready = await client.get("/readyz")

    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "database": True,
        "cache": True,
        "migrations": True,
        "draining": False,
    }


async def test_an_unknown_address_is_a_problem_with_a_request_id(client: httpx.AsyncClient):
    answer = await client.get("/v1/nowhere", headers={"x-request-id": "front-end-0001"})

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "route-not-found"
    assert body["request_id"] == answer.headers["x-request-id"] == "front-end-0001"


@pytest.mark.parametrize(
    "forged", ["x" * 100, "short", "a b c d e f g h", "13800138000", "11010519491231002X", "a\u00e9" * 8]
)
async def test_a_forged_request_id_is_replaced(client: httpx.AsyncClient, forged: str):
    answer = await client.get("/healthz", headers=[(b"x-request-id", forged.encode("latin-1"))])

    assert answer.headers["x-request-id"] != forged


async def test_the_catalogue_lists_every_problem_once(client: httpx.AsyncClient):
    listed = (await client.get("/v1/public/problems")).json()

    codes = [kind["code"] for kind in listed]
    assert {"not-found", "idempotency-key-missing", "took-too-long"} <= set(codes)
    assert len(codes) == len(set(codes))


async def test_the_description_is_openapi_3_1_and_names_every_problem(client: httpx.AsyncClient):
    described = (await client.get("/openapi.json")).json()

    assert described["openapi"].startswith("3.1")
    assert "Problem" in described["components"]["schemas"]


@pytest.mark.parametrize("path", ["/docs", "/docs/files/swagger-ui-bundle.js", "/docs/files/start.js"])
async def test_the_documentation_is_served_from_our_own_files(client: httpx.AsyncClient, path: str):
    answer = await client.get(path)

    assert answer.status_code == 200
    assert "http" not in answer.text[:2000].replace("http-equiv", "")


def a_scope(
    path: str = "/healthz", method: str = "GET", headers: list[tuple[bytes, bytes]] | None = None
) -> dict[str, Any]:
    """A request as a server hands it over, with exactly these headers."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers or [],
        "client": ("10.0.0.1", 1),
        "server": ("/run/zhangban.sock", None),
        "state": {},
    }


async def asked(app: Litestar, scope: dict[str, Any], body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of the answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Edge(app)(scope, receive, send)  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


@pytest.mark.parametrize(
    "host",
    [b"", b" ", b"a b", b"x:port", b"x:70000", b"x:0", b"[::1", b"[x]", b"a/b", b"u@h", b"\xff", b"[:::::]"],
)
async def test_a_host_that_is_none_is_refused_and_not_fallen_over(app: Litestar, host: bytes):
    headers = [(b"host", host), (b"content-type", b"application/json")]

    status, body = await asked(app, a_scope("/v1/public/sessions/refresh", "POST", headers), b"")

    assert status in (400, 422)
    assert json.loads(body)["status"] == status


async def test_two_hosts_are_refused(app: Litestar):
    assert (await asked(app, a_scope(headers=[(b"host", b"a"), (b"host", b"b")])))[0] == 400


@pytest.mark.parametrize(
    "host", [b"mini.example.gov.cn", b"api_1:8000", b"127.0.0.1:65535", b"[::1]:8000", b"localhost"]
)
async def test_a_proper_host_is_accepted(app: Litestar, host: bytes):
    assert (await asked(app, a_scope(headers=[(b"host", host)])))[0] == 200


async def test_a_probe_without_a_host_is_accepted_on_a_unix_socket_too(app: Litestar):
    assert (await asked(app, a_scope()))[0] == 200
    headers = [(b"content-type", b"application/json")]
    assert (await asked(app, a_scope("/v1/public/sessions/refresh", "POST", headers), b""))[0] == 422


async def test_a_length_of_thousands_of_digits_is_too_large(app: Litestar):
    headers = [(b"host", b"a"), (b"content-length", b"9" * 5000)]

    assert (await asked(app, a_scope("/v1/public/sessions/refresh", "POST", headers)))[0] == 413


async def test_made_up_methods_do_not_fill_the_metrics(app: Litestar, client: httpx.AsyncClient):
    for n in range(20):
        await asked(app, a_scope(method=f"MADEUP{n}", headers=[(b"host", b"a")]))

    assert "MADEUP" not in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    "query", [b"\xff", b"limit=\xff", b"limit=1&\xc0\xaf=\xff", b"\x00", b"limit=\xed\xa0\x80", b"a" * 60_000]
)
@pytest.mark.parametrize("path", ["/v1/public/items", "/v1/public/problems", "/v1/resident/cases", "/nowhere"])
async def test_raw_bytes_in_the_query_are_no_reason_to_fall_over(app: Litestar, path: str, query: bytes):
    scope = {**a_scope(path, headers=[(b"host", b"a")]), "query_string": query}

    status, body = await asked(app, scope)

    assert status < 500
    assert json.loads(body)
