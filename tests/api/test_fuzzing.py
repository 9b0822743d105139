"""Right and wrong requests made from the description, by every kind of caller: none is a 5xx, none breaks a promise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from litestar import Litestar
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.openapi import describe
from backend import cache
from models.identity import Resident
from tests.callers import Callers, callers
from tests.factories.cases import PHONE, a_case, reported
from tests.factories.catalogue import a_draft, a_published_item
from tests.factories.identity import a_resident
from tests.factories.notifications import a_message
from tests.factories.regions import a_hall

pytestmark = [pytest.mark.usefixtures("partners"), pytest.mark.timeout(300)]

EXAMPLES = 8
"""Right and wrong requests, so many of each, per operation."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
KEYED = ("public", "resident", "staff", "agency")
CALLERS = ("nobody", "public", "resident", "staff", "agency", "callbacks")
"""Who calls: a caller without any proof calls everything, the others what is behind their door."""


@pytest.fixture(scope="module")
def schema(app: Litestar) -> Any:
    return schemathesis.openapi.from_dict(json.loads(describe(app)))


def made(operation: Any, mode: GenerationMode, count: int) -> list[Case]:
    """Requests for an operation, the same ones at every run."""
    found: list[Case] = []

    @hypothesis_settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found[:count]


def can_be_wrong(operation: Any) -> bool:
    """Whether there is anything in a request that could be wrong."""
    return bool(list(operation.body) or list(operation.query) or list(operation.path_parameters))


def cases_of(operation: Any, known: dict[str, str], count: int) -> Iterator[Case]:
    """Right and wrong requests; every second right one is about something that exists."""
    for n, case in enumerate(made(operation, GenerationMode.POSITIVE, count)):
        if n % 2 and case.path_parameters:
            case.path_parameters.update({name: known[name] for name in case.path_parameters.keys() & known.keys()})
        yield case
    if can_be_wrong(operation):
        yield from made(operation, GenerationMode.NEGATIVE, count)


async def things(people: Callers) -> dict[str, dict[str, str]]:
    """Something of everything, by door: what the parameters of addresses may name."""
    case = await a_case(people.agency.principal)
    await reported(case, "受理", "补正", "办结")
    message = await a_message(await Resident.get(id=people.resident.id))
    hall, public_item, draft = await a_hall(), await a_published_item(), await a_draft(people.staff)
    return {
        "public": {"code": public_item, "hall_id": str(hall.id)},
        "resident": {"number": case.number, "message_id": str(message), "session_id": str(people.other.session_id)},
        "staff": {"code": draft, "number": "1", "day": "2026-10-01", "year": "2026"},
        "agency": {"number": case.number},
        "callbacks": {},
    }


async def sent(client: httpx.AsyncClient, case: Case, people: Callers | None) -> httpx.Response:
    """The answer to the request, with what opens the door when a caller may use it."""
    given = case.as_transport_kwargs(base_url="http://zhangban.test")
    headers = {name: value for name, value in given.pop("headers").items() if not name.startswith("X-Schema")}
    for name in ("cookies", "timeout", "verify"):
        given.pop(name, None)
    if "data" in given:
        given["content"] = given.pop("data")
    request = client.build_request(**given)
    if people is not None:
        headers |= people.headers(request.method, request.url.raw_path.decode(), request.content)
    raw = [
        (name.encode("latin-1", "replace"), str(value).encode("latin-1", "replace")) for name, value in headers.items()
    ]
    kept = [(name, value) for name, value in request.headers.raw if name.lower() in (b"host", b"content-length")]
    content_type = [] if "Content-Type" in headers else [("content-type", request.headers.get("content-type", ""))]
    request.headers = httpx.Headers([*kept, *raw])
    for name, value in content_type:
        if value:
            request.headers[name] = value
    return await client.send(request)


def is_endless(operation: Any) -> bool:
    """Whether a right request gets a stream of events; such an answer is never complete."""
    answers = operation.definition.raw["responses"].values()
    return any("text/event-stream" in answer.get("content", {}) for answer in answers)


def in_order(schema: Any) -> list[Any]:
    """Every operation; what ends a session or removes something comes last."""
    found = [each for each in (result.ok() for result in schema.get_all_operations()) if not is_endless(each)]
    return sorted(found, key=lambda each: (each.path.endswith("/session"), each.method == "delete"))


def problem_of(case: Case, answer: httpx.Response) -> str | None:
    """What the description did not promise of this answer."""
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as failures:
        titles = "; ".join(f"{each.title}: {each}"[:300] for each in failures.exceptions)
        return f"{case.operation.label} {answer.status_code} {answer.text[:200]}: {titles}"
    return None


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_answer_is_one_that_the_description_promises(client: httpx.AsyncClient, schema: Any, caller: str):
    people = (await callers())._replace(resident=await a_resident(phone=PHONE))
    known = await things(people)
    wrong: list[str] = []
    heard: dict[str, Counter[int]] = {}

    for operation in in_order(schema):
        door = operation.path.split("/")[2] if operation.path.startswith("/v1/") else "public"
        if caller not in ("nobody", door):
            continue
        await cache.redis().flushdb()
        seen = heard[operation.label] = Counter()
        for case in cases_of(operation, known[door], 2 if caller == "nobody" else EXAMPLES):
            answer = await sent(client, case, None if caller == "nobody" else people)
            seen[answer.status_code] += 1
            if (problem := problem_of(case, answer)) is not None:
                wrong.append(problem)

    assert wrong == []
    if caller in KEYED:
        # Otherwise we would have fuzzed nothing but the guard.
        assert [label for label, seen in heard.items() if set(seen) <= {401, 429}] == []
        assert sum(seen[200] + seen[201] + seen[204] for seen in heard.values()) >= len(heard) // 3
