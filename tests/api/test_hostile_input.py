"""Any bytes that a stranger sends to any route: a clear problem, never a 500, and nothing is stored."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from litestar import Litestar

from backend import cache
from backend.settings import settings
from tests.callers import Callers, Operation, callers, description, encoded, operations
from tests.owner import as_owner

pytestmark = [pytest.mark.usefixtures("partners"), pytest.mark.timeout(300)]

DOORS = ("public", "resident", "staff", "agency", "callbacks")
at_each_door = pytest.mark.parametrize("door", DOORS)
MEGABYTE = 1 << 20
NOTED = {"agency_nonces", "sign_in_attempts"}
"""Tables that record attempts."""
FORBIDDEN = (
    "role", "is_staff", "duties", "department_id", "state", "fee", "paid", "verified", "resident_id", "owner_id",
    "openid", "created_at", "version", "id", "__class__", "__proto__",
)  # fmt: skip


@pytest.fixture
async def people() -> Callers:
    return await callers()


async def rows() -> dict[str, int]:
    """How many rows each table holds."""
    async with as_owner() as owner:
        names = await owner.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        return {
            each["relname"]: await owner.fetchval(f'SELECT count(*) FROM "{each["relname"]}"')
            for each in names
            if each["relname"] not in NOTED
        }


async def forget_counts() -> None:
    """No caller has reached a limit."""
    await cache.redis().flushdb()


def behind(app: Litestar, door: str) -> list[Operation]:
    """The operations of a door; those outside of all doors count as public."""
    found = [
        each
        for each in operations(app)
        if each.path.startswith(f"/v1/{door}/") or (door == "public" and not each.path.startswith("/v1/"))
    ]
    assert found
    return found


def with_bodies(app: Litestar, door: str) -> list[Operation]:
    """Those that take a body."""
    found = [operation for operation in behind(app, door) if operation.has_body]
    assert found
    return found


def of_json(app: Litestar, door: str) -> list[Operation]:
    """Those that read JSON of a declared shape; WeChat's pushes are read by its own rules."""
    return [operation for operation in with_bodies(app, door) if operation.example is not None]


async def sent(
    client: httpx.AsyncClient, people: Callers, operation: Operation, body: bytes, **headers: str
) -> httpx.Response:
    """The answer to this body, sent by a caller who may use the door."""
    address = operation.address()
    given = {"Content-Type": "application/json", **people.headers(operation.method, address, body), **headers}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    return await client.request(operation.method, address, content=body, headers=raw)


def is_refused(answer: httpx.Response, statuses: set[int] | range) -> bool:
    """Whether it is a problem document with one of these statuses."""
    return (
        answer.status_code in statuses
        and answer.headers["content-type"] == "application/problem+json"
        and {"type", "title", "status", "code", "request_id"} <= answer.json().keys()
    )


def is_no_fall(answer: httpx.Response) -> bool:
    """Whether it is not our mistake, and answered as it should be when it is theirs."""
    if answer.status_code >= 500:
        return False
    return answer.status_code < 400 or answer.headers["content-type"] == "application/problem+json"


BODIES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "spaces": lambda: b"   \n",
    "invalid UTF-8": lambda: b'{"code": "\xff\xfe\x80"}',
    "overlong UTF-8": lambda: b'{"code": "\xc0\xaf"}',
    "UTF-16": lambda: '{"code": "x"}'.encode("utf-16"),
    "a byte order mark": lambda: b'\xef\xbb\xbf{"code": "x"}',
    "lists 100,000 deep": lambda: b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a deep value in a field": lambda: b'{"code": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "truncated": lambda: b'{"code": "x',
    "something behind it": lambda: b'{"code": "x"} {"code": "y"}',
    "a trailing comma": lambda: b'{"code": "x",}',
    "single quotes": lambda: b"{'code': 'x'}",
    "NaN": lambda: b'{"code": NaN}',
    "Infinity": lambda: b'{"code": -Infinity}',
    "a huge integer": lambda: b'{"code": ' + b"9" * 5000 + b"}",
    "a huge exponent": lambda: b'{"code": 1e999999}',
    "a list": lambda: b"[]",
    "a text": lambda: b'"x"',
    "a number": lambda: b"7",
    "null": lambda: b"null",
    "true": lambda: b"true",
    "a raw NUL": lambda: b'{"code": "a\x00b"}',
    "an escaped NUL": lambda: b'{"code": "a\\u0000b"}',
    "NUL in a name": lambda: b'{"co\\u0000de": "a"}',
    "a lone surrogate": lambda: b'{"code": "\\ud800"}',
    "a surrogate the wrong way round": lambda: b'{"code": "\\udc00\\ud800"}',
    "a name twice": lambda: b'{"code": "a", "code": "b"}',
    "a form": lambda: b"code=x&state=y",
    "XML": lambda: b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
}


@at_each_door
async def test_a_body_that_is_no_proper_json_is_refused_by_every_route(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    before = await rows()

    for kind, make in BODIES.items():
        body = make()
        await forget_counts()
        for operation in with_bodies(app, door):
            answer = await sent(client, people, operation, body)
            expected = {400, 422} if operation.example is not None else range(400, 500)
            assert is_refused(answer, expected), f"{kind}, {operation.path}: {answer.status_code} {answer.text}"

    assert await rows() == before


@at_each_door
async def test_a_field_that_is_given_twice_is_refused_even_when_both_would_do(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    before = await rows()

    for operation in of_json(app, door):
        fields = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in operation.example.items()]
        body = "{" + ", ".join([*fields, fields[0]]) + "}"
        answer = await sent(client, people, operation, body.encode())
        assert is_refused(answer, {400}), f"{operation.path}: {answer.status_code} {answer.text}"

    assert await rows() == before


KINDS = (
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "",
    "text/json", "application/jsonp", "application/problem+json", ";", "application/json/x", "*/*",
    "application/msgpack", "application/x-msgpack", "application/vnd.msgpack",
)  # fmt: skip
ODD_KINDS = (
    "application/json; charset=utf-16",
    "application/json; charset=\u00e9",
    "APPLICATION/JSON",
    "application/json;",
)


@at_each_door
async def test_json_that_is_sent_as_something_else_is_refused(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    before = await rows()

    for kind in KINDS:
        await forget_counts()
        for operation in of_json(app, door):
            body = json.dumps(operation.example).encode()
            answer = await sent(client, people, operation, body, **{"Content-Type": kind})
            assert is_refused(answer, {400, 415}), f"{kind}, {operation.path}: {answer.status_code} {answer.text}"

    assert await rows() == before


@at_each_door
async def test_an_odd_way_to_say_json_is_no_reason_to_fall_over(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    for kind in ODD_KINDS:
        await forget_counts()
        for operation in of_json(app, door):
            answer = await sent(client, people, operation, b"{", **{"Content-Type": kind})
            assert is_refused(answer, {400, 415}), f"{kind}, {operation.path}: {answer.status_code} {answer.text}"


def declared(app: Litestar, operation: Operation) -> set[str]:
    """The fields that the body of an operation may have."""
    schema = operation.described["requestBody"]["content"]["application/json"]["schema"]
    schemas = description(app)["components"]["schemas"]
    return set(schemas[schema["$ref"].rpartition("/")[2]].get("properties", {}))


@at_each_door
async def test_an_undeclared_field_is_refused_and_pointed_to(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    before = await rows()

    for name in FORBIDDEN:
        await forget_counts()
        for operation in of_json(app, door):
            if name in declared(app, operation):
                continue
            body = json.dumps({**operation.example, name: "1"}).encode()
            answer = await sent(client, people, operation, body)
            assert is_refused(answer, {422}), f"{name}, {operation.path}: {answer.status_code} {answer.text}"
            assert answer.json()["errors"][0]["pointer"] == f"/{name}"

    assert await rows() == before


@at_each_door
async def test_a_compressed_body_is_not_unpacked(app: Litestar, client: httpx.AsyncClient, people: Callers, door: str):
    bomb = gzip.compress(b"[" * (10 * MEGABYTE))

    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "x"):
        for operation in with_bodies(app, door):
            answer = await sent(client, people, operation, bomb, **{"Content-Encoding": coding})
            assert is_refused(answer, {415}), f"{coding}, {operation.path}: {answer.status_code} {answer.text}"


@at_each_door
async def test_a_body_that_says_it_is_too_large_is_not_read(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    body = b'{"code": "' + b"x" * (2 * MEGABYTE) + b'"}'

    for operation in with_bodies(app, door):
        answer = await sent(client, people, operation, body)
        assert is_refused(answer, {413}), f"{operation.path}: {answer.status_code} {answer.text}"


@at_each_door
async def test_a_body_that_does_not_say_how_large_it_is_is_read_up_to_the_limit(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 20 * MEGABYTE:
            read += 65536
            yield b" " * 65536

    for operation in with_bodies(app, door):
        read, address = 0, operation.address()
        headers = {"Content-Type": "application/json", **people.headers(operation.method, address, b"")}
        answer = await client.request(operation.method, address, content=endless(), headers=headers)

        # An agency's signature is over other bytes, but 20 MB need not be read to find out. A callback address that
        # was never given out does not exist, and reads nothing at all.
        expected = {404, 413} if door == "callbacks" and "{" in operation.path else {413}
        assert is_refused(answer, expected), f"{operation.path}: {answer.status_code} {answer.text}"
        assert read <= settings().body_limit + 2 * 65536, operation.path


@at_each_door
async def test_a_length_that_is_no_length_is_refused(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    for length in (b"-1", b"1e3", b"0x10", b" ", b"9" * 5000, b"\xb2", b"5, 5"):
        for operation in with_bodies(app, door):
            address = operation.address()
            headers = {**people.headers(operation.method, address, b"{}"), "Content-Length": length}
            answer = await client.request(operation.method, address, content=b"{}", headers=headers)  # type: ignore[arg-type]
            assert is_refused(answer, {400, 413}), f"{operation.path}: {answer.status_code} {answer.text}"


VALUES = [
    "%00", "a%00b", "%ff", "%ed%a0%80", "%c0%af", "%", "%zz", "..%2f..%2fetc%2fpasswd", "'%20OR%201=1--",
    "%22%3b%20DROP%20TABLE%20cases%3b", "-1", "0", "1e309", "99999999999999999999999999", "NaN", "true", "null", "[]",
    "%7b%7d", "A" * 5000, "%F0%9F%98%80", "%E2%80%AE", "2026-13-45", "1.5", "", "%20", "%0d%0aSet-Cookie:%20x=1",
    "{0.__class__}", "$%7bjndi:ldap://x%7d", "0x7f", "١٢٣",
]  # fmt: skip


@at_each_door
async def test_no_value_in_the_query_makes_any_route_fall_over(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    before, reads = await rows(), [each for each in behind(app, door) if each.method == "GET"]

    for value in VALUES:
        await forget_counts()
        for operation in reads:
            queries = [f"{name}={value}" for name in operation.parameters]
            queries += [f"{query}&{query}" for query in queries]
            for query in [*queries, f"unknown[]={value}&__proto__={value}&{value}"]:
                address = f"{operation.address()}?{query}"
                headers = people.headers("GET", httpx.URL(address).raw_path.decode())
                answer = await client.get(address, headers=headers)
                assert is_no_fall(answer), f"{address[:200]}: {answer.status_code} {answer.text}"

    assert await rows() == before


@at_each_door
async def test_no_value_in_the_address_makes_any_route_fall_over(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    before = await rows()

    for value in filter(None, VALUES):
        await forget_counts()
        for operation in behind(app, door):
            for name in [part.strip("{}") for part in operation.path.split("/") if part.startswith("{")]:
                address = operation.address(**{name: value})
                headers = people.headers(operation.method, httpx.URL(address).raw_path.decode())
                answer = await client.request(operation.method, address, headers=headers)
                assert is_no_fall(answer), f"{operation.method} {address[:200]}: {answer.status_code} {answer.text}"

    assert await rows() == before


ODD_HEADERS = (
    ("Accept", "text/html"), ("Accept", ";;;=,"), ("Accept", "application/xml;q=9"), ("Accept", "\u00ff"),
    ("Accept", ""), ("Accept-Encoding", "gzip;q=x, *;q=0"), ("Accept-Language", "x" * 5000),
    ("Cookie", "a=b; =; \u00ff;;" + "c=d;" * 2000), ("If-None-Match", '"' * 3000), ("If-None-Match", "*"),
    ("If-None-Match", 'W/"x", ,,"'), ("If-Modified-Since", "once"),
    ("Range", "bytes=0-1,2-3,-1"), ("X-Request-Id", "\u00ff" * 20), ("X-Request-Id", "a" * 9000), ("Host", ""),
    ("Host", "evil.example"), ("Host", "evil.example:port"), ("Host", "evil.example:70000"), ("Host", "[evil.example"),
    ("X-Forwarded-For", "\u00ff, ,,, ::1%eth0"), ("X-Forwarded-Host", "evil.example"), ("Origin", "null"),
    ("Origin", "https://evil.example"), ("Expect", "100-continue"), ("Upgrade", "websocket"),
    ("User-Agent", "\u00ff\u0001"),
    ("Authorization", "Bearer \u00ff"), ("Authorization", "Bearer " + "a" * 100_000), ("Authorization", "Bearer"),
    ("Authorization", "Basic Og=="), ("Zhangban-Signature", "\u00ff"), ("Zhangban-Timestamp", "9" * 5000),
    ("Zhangban-Timestamp", "NaN"), ("Zhangban-Nonce", "\u00ff" * 99), ("Traceparent", "00-" + "0" * 32),
    ("Content-Type", "\u00ff"), ("Idempotency-Key", "\u00ff"),
)  # fmt: skip


@at_each_door
async def test_no_header_makes_any_route_fall_over(
    app: Litestar, client: httpx.AsyncClient, people: Callers, door: str
):
    for name, value in ODD_HEADERS:
        await forget_counts()
        for operation in behind(app, door):
            address = operation.address()
            headers = {**people.headers(operation.method, address), name: value}
            raw = [(each.encode(), given.encode("latin-1")) for each, given in headers.items()]
            answer = await client.request(operation.method, address, headers=raw)
            what = f"{name}: {value[:40]}, {operation.method} {address}: {answer.status_code} {answer.text}"
            assert is_no_fall(answer), what
            assert "evil.example" not in answer.text, what
            assert "access-control-allow-origin" not in answer.headers, what


async def test_encoded_slashes_do_not_lead_to_another_address(client: httpx.AsyncClient, people: Callers):
    for value in ("x/../../resident/me", "../../resident/me"):
        headers = people.headers("GET", "/v1/resident/me")
        answer = await client.get(f"/v1/public/items/{encoded(value)}", headers=headers)
        assert answer.status_code == 404
