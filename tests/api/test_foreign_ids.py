"""What belongs to another resident does not exist: the answer is byte for byte that to an unknown id."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar
from uuid_utils.compat import uuid7

from backend import clock
from backend.deliveries.numbering import delivery_number
from backend.identity import delegating
from backend.identity.principals import AsAgency, AsStaff
from backend.payments import approving
from backend.payments.numbering import payment_number
from models.appointments import ServiceLine, Strike, WaitingEntry
from models.identity import Resident
from models.queueing import Ticket
from tests.callers import Callers, Operation, callers, operations
from tests.factories.appointments import a_slot, a_window, an_appointment
from tests.factories.cases import PHONE, a_case, a_number, a_resident_with_phone, reported
from tests.factories.catalogue import a_draft, an_editor
from tests.factories.deliveries import a_pickup_point, a_problem, a_shipment, an_address
from tests.factories.identity import a_resident, an_agency, signed_in
from tests.factories.notifications import a_message
from tests.factories.payments import a_fee, a_paid_payment
from tests.owner import owner_fetch_value

DOORS = ("/v1/resident/", "/v1/staff/", "/v1/agency/")


class Belonging(NamedTuple):
    """An id that exists and belongs to another owner, and an unknown one."""

    foreign: dict[str, str]
    random: dict[str, str]


async def a_foreign_session() -> Belonging:
    return Belonging({"session_id": str((await signed_in()).session_id)}, {"session_id": str(uuid7())})


async def a_foreign_message() -> Belonging:
    other = await Resident.get(id=(await a_resident()).id)
    return Belonging({"message_id": str(await a_message(other))}, {"message_id": str(uuid7())})


async def a_foreign_case() -> Belonging:
    await a_resident_with_phone(PHONE)
    case = await a_case()
    await reported(case, "受理")
    assert await owner_fetch_value("SELECT resident_id IS NOT NULL FROM cases WHERE id = $1", case.id)
    return Belonging({"number": case.number}, {"number": a_number()})


async def a_foreign_delegation() -> Belonging:
    until = clock.today() + timedelta(days=30)
    given = await delegating.offer_delegation(await a_resident(), name="田秀英", matters=["all"], until=until)
    return Belonging({"delegation_id": str(given.id)}, {"delegation_id": str(uuid7())})


async def a_case_of_another_agency() -> Belonging:
    other = await an_agency()
    case = await a_case(AsAgency(other.id, other.department_id))
    return Belonging({"number": case.number}, {"number": a_number()})


async def an_item_of_another_department() -> Belonging:
    code = await a_draft(await an_editor())
    return Belonging(
        {"code": code, "number": "1"}, {"code": f"{code[:-3]}{'001' if code[-3:] != '001' else '002'}", "number": "1"}
    )


async def a_visit_of_somebody_in_another_hall() -> Belonging:
    """An appointment with all that hangs on it: its hall, line, slot, window, number, strike and waiting entry."""
    slot = await a_slot()
    visit = await an_appointment(slot)
    line = await ServiceLine.get(id=visit.line_id)
    window = await a_window(line)
    ticket = await Ticket.create(
        hall_id=slot.hall_id, line=line, day=slot.day, sequence=1, label="A001", wanted_at=slot.starts_at
    )
    strike = await Strike.create(person_id=visit.person_id, line=line, appointment=visit, kind="no-show")
    entry = await WaitingEntry.create(
        line=line, day=slot.day, resident_id=visit.person_id, person_id=visit.person_id, item_id=uuid7()
    )
    theirs = {
        "appointment_id": visit, "line_id": line, "slot_id": slot, "window_id": window, "ticket_id": ticket,
        "strike_id": strike, "entry_id": entry,
    }  # fmt: skip
    foreign = {name: str(each.id) for name, each in theirs.items()} | {"hall_id": str(slot.hall_id), "number": "1"}
    return Belonging(foreign, {name: str(uuid7()) for name in foreign} | {"number": "1"})


async def a_fee_of_somebody_in_another_department() -> Belonging:
    return Belonging({"fee_id": str((await a_fee()).id)}, {"fee_id": str(uuid7())})


async def a_payment_of_somebody() -> Belonging:
    return Belonging({"number": (await a_paid_payment()).number}, {"number": payment_number()})


async def a_refund_of_another_department() -> Belonging:
    fee = await a_fee()
    assert fee.department_id is not None
    asks = AsStaff(uuid7(), fee.department_id, frozenset({approving.REQUEST_REFUNDS}))
    asked = await approving.request_refund(asks, (await a_paid_payment(fee)).number, 100, "多收工本费")
    return Belonging({"number": asked.number}, {"number": f"R{payment_number()}01"})


async def a_delivery_of_somebody() -> Belonging:
    """A parcel with all that hangs on it: its number, batch, problem, the address it was copied from, and a counter."""
    parcel = await a_shipment(hand_over_batch=uuid7())
    problem = await a_problem(parcel.delivery)
    theirs = {"address_id": await an_address(), "problem_id": problem, "point_id": await a_pickup_point()}
    foreign = {name: str(each.id) for name, each in theirs.items()}
    foreign |= {"number": parcel.delivery.number, "batch_id": str(parcel.hand_over_batch)}
    return Belonging(foreign, {**{name: str(uuid7()) for name in foreign}, "number": delivery_number()})


Maker = Callable[[], Awaitable[Belonging]]
BELONGINGS: dict[str, Maker] = {
    "/v1/resident/sessions/{session_id}": a_foreign_session,
    "/v1/resident/messages/{message_id}": a_foreign_message,
    "/v1/resident/messages/{message_id}/read": a_foreign_message,
    "/v1/resident/cases/{number}": a_foreign_case,
    "/v1/resident/delegations/{delegation_id}": a_foreign_delegation,
    "/v1/resident/delegations/{delegation_id}/invitation": a_foreign_delegation,
    "/v1/resident/delegations/{delegation_id}/invitation.png": a_foreign_delegation,
    "/v1/resident/cases/{number}/fees": a_foreign_case,
    "/v1/staff/cases/{number}/fees": a_foreign_case,
    "/v1/staff/fees/{fee_id}/waiver": a_fee_of_somebody_in_another_department,
    **dict.fromkeys(
        (f"/v1/resident/cases/{{number}}/{rest}" for rest in ("delivery-options", "deliveries", "documents")),
        a_foreign_case,
    ),
    **dict.fromkeys(
        (
            "/v1/resident/addresses/{address_id}",
            *(
                f"/v1/resident/deliveries/{{number}}{rest}"
                for rest in (
                    "",
                    "/change",
                    "/cancellation",
                    "/receipt",
                    "/problems",
                    "/waybill",
                    "/courier",
                    "/trace-token",
                )
            ),
            *(
                f"/v1/staff/deliveries/{{number}}{rest}"
                for rest in (
                    "",
                    "/receiver",
                    "/readiness",
                    "/kept-until",
                    "/hand-over",
                    "/reception",
                    "/order",
                    "/waybill",
                    "/label",
                    "/order-withdrawal",
                    "/resending",
                    "/declaration",
                )
            ),
            "/v1/staff/delivery-batches/{batch_id}",
            *(f"/v1/staff/delivery-problems/{{problem_id}}{rest}" for rest in ("", "/owner", "/answer")),
            *(f"/v1/staff/pickup-points/{{point_id}}{rest}" for rest in ("", "/closure", "/reopening")),
        ),
        a_delivery_of_somebody,
    ),
    "/v1/resident/payments/{number}": a_payment_of_somebody,
    "/v1/resident/payments/{number}/receipt": a_payment_of_somebody,
    "/v1/resident/payments/{number}/receipt-data": a_payment_of_somebody,
    "/v1/staff/payments/{number}": a_payment_of_somebody,
    "/v1/staff/payments/{number}/refunds": a_payment_of_somebody,
    **dict.fromkeys(
        (f"/v1/staff/refunds/{{number}}{rest}" for rest in ("", "/approval", "/rejection", "/repetition", "/card")),
        a_refund_of_another_department,
    ),
    "/v1/agency/cases/{number}": a_case_of_another_agency,
    "/v1/agency/cases/{number}/fees": a_case_of_another_agency,
    "/v1/agency/cases/{number}/events": a_case_of_another_agency,
    "/v1/agency/cases/{number}/event-batches": a_case_of_another_agency,
    "/v1/staff/items/{code}/versions": an_item_of_another_department,
    "/v1/staff/items/{code}/versions/{number}": an_item_of_another_department,
    "/v1/staff/items/{code}/versions/{number}/faults": an_item_of_another_department,
    "/v1/staff/items/{code}/versions/{number}/publish": an_item_of_another_department,
    "/v1/staff/items/{code}/versions/{number}/withdraw": an_item_of_another_department,
}
BELONGINGS |= dict.fromkeys(
    (
        *(f"/v1/resident/appointments/{{appointment_id}}{rest}" for rest in (
            "", "/cancellation", "/confirmation", "/move", "/check-in-code", "/check-in-code.png", "/check-in-code.svg",
            "/mini-program-code", "/queue",
        )),
        "/v1/resident/strikes/{strike_id}/appeal",
        "/v1/resident/waiting-entries/{entry_id}",
        "/v1/staff/appointments/{appointment_id}/check-in",
        *(f"/v1/staff/halls/{{hall_id}}/{rest}" for rest in (
            "kiosk/check-ins", "kiosk/scans", "kiosk/walk-ins", "poster-code", "queue", "appeals", "appointments",
            "days-off",
            "closures", "lines", "reopenings", "slots", "windows", "windows/{number}",
        )),
        *(f"/v1/staff/lines/{{line_id}}{rest}" for rest in ("", "/hours", "/items", "/slots")),
        *(f"/v1/staff/slots/{{slot_id}}/{rest}" for rest in ("capacity", "close", "reopen")),
        "/v1/staff/strikes/{strike_id}/decision",
        *(f"/v1/staff/tickets/{{ticket_id}}/{rest}" for rest in ("call", "hand-over", "miss", "rejoin", "serve")),
        "/v1/staff/windows/{window_id}/call",
    ),
    a_visit_of_somebody_in_another_hall,
)  # fmt: skip
"""Every guarded address with an id of an owner in it, and how to get an id of another owner."""
OWNED_BY_NOBODY = {
    **dict.fromkeys(
        (f"/v1/staff/bill-differences/{{difference_id}}{rest}" for rest in ("", "/owner", "/resolution")),
        "merchants' accounts are the platform's, not a department's",
    ),
    **dict.fromkeys(
        (f"/v1/staff/messages/{{message_id}}{rest}" for rest in ("", "/requeue")),
        "operators watch over the messages of the whole platform; without their duty every id is refused alike",
    ),
    "/v1/staff/calendar/days/{day}": "the calendar is everybody's",
    "/v1/staff/calendar/years/{year}": "the calendar is everybody's",
}
REVEALS = {
    "PUT /v1/agency/cases/{number}": "numbers are shared by all: who takes one that is taken is told so",
    "POST /v1/agency/cases/{number}/events": "news of a case that nobody has pushed yet is kept, of a taken number not",
    "POST /v1/agency/cases/{number}/event-batches": "the same",
}
"""Operations by which a department's system learns that a number is taken, and nothing else of the case."""


def at(app: Litestar, path: str) -> list[Operation]:
    return [operation for operation in operations(app) if operation.path == path]


def test_every_guarded_address_with_an_id_is_in_the_table(app: Litestar):
    guarded = {each.path for each in operations(app) if "{" in each.path and each.path.startswith(DOORS)}

    assert guarded == BELONGINGS.keys() | OWNED_BY_NOBODY.keys()


async def ask(
    client: httpx.AsyncClient, people: Callers, operation: Operation, values: dict[str, str]
) -> httpx.Response:
    address = operation.address(**values)
    if "day" in operation.parameters:
        address += "?day=2026-12-01"
    body = json.dumps(operation.example).encode() if operation.has_body else b""
    headers = {**people.headers(operation.method, address, body), "Idempotency-Key": str(uuid4())}
    if operation.has_body:
        headers["Content-Type"] = "application/json"
    return await client.request(operation.method, address, content=body, headers=headers)


def comparable(answer: httpx.Response) -> tuple[int, object, set[str]]:
    """Status, body and headers without what differs between any two answers."""
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, body, set(answer.headers)


@pytest.mark.usefixtures("partners")
@pytest.mark.parametrize("path", BELONGINGS)
async def test_what_belongs_to_another_owner_does_not_exist(app: Litestar, client: httpx.AsyncClient, path: str):
    people, belonging = await callers(), await BELONGINGS[path]()

    for operation in at(app, path):
        key = f"{operation.method} {path}"
        if key in REVEALS:
            continue
        foreign = await ask(client, people, operation, belonging.foreign)
        random = await ask(client, people, operation, belonging.random)
        assert foreign.status_code == 404, f"{key}: {foreign.text}"
        assert comparable(foreign) == comparable(random), key
        assert len(foreign.content) == len(random.content), key


@pytest.mark.usefixtures("partners")
async def test_a_number_that_is_taken_reveals_nothing_of_its_case(app: Litestar, client: httpx.AsyncClient):
    people, belonging = await callers(), await a_case_of_another_agency()

    for operation in operations(app):
        if f"{operation.method} {operation.path}" in REVEALS:
            answer = await ask(client, people, operation, belonging.foreign)
            assert answer.status_code in (404, 409)
            assert answer.json().keys() <= {"type", "title", "status", "code", "request_id", "retryable", "errors"}


@pytest.mark.usefixtures("partners")
@pytest.mark.parametrize("path", BELONGINGS)
async def test_requests_for_what_belongs_to_another_owner_change_nothing_of_it(
    app: Litestar, client: httpx.AsyncClient, path: str
):
    people, belonging = await callers(), await BELONGINGS[path]()
    before = await fingerprint()

    for operation in at(app, path):
        await ask(client, people, operation, belonging.foreign)

    assert await fingerprint() == before


async def fingerprint() -> object:
    """All that could be changed of another owner: their sessions, messages, cases and items."""
    return await owner_fetch_value(
        "SELECT md5(string_agg(t, '|' ORDER BY t)) FROM ("
        "SELECT s::text AS t FROM (SELECT id, ended_at FROM sessions) s UNION ALL SELECT m::text FROM messages m "
        "UNION ALL SELECT c::text FROM cases c UNION ALL SELECT e::text FROM case_events e WHERE case_id IS NOT NULL "
        "UNION ALL SELECT v::text FROM item_versions v UNION ALL SELECT a::text FROM appointments a "
        "UNION ALL SELECT s::text FROM slots s UNION ALL SELECT l::text FROM service_lines l "
        "UNION ALL SELECT w::text FROM windows w UNION ALL SELECT t::text FROM tickets t "
        "UNION ALL SELECT f::text FROM fees f UNION ALL SELECT p::text FROM payments p "
        "UNION ALL SELECT d::text FROM deliveries d UNION ALL SELECT a::text FROM addresses a "
        "UNION ALL SELECT s::text FROM shipments s UNION ALL SELECT p::text FROM delivery_problems p "
        "UNION ALL SELECT p::text FROM pickup_points p "
        "UNION ALL SELECT s::text FROM strikes s UNION ALL SELECT e::text FROM waiting_entries e) x"
    )


async def test_lists_hold_only_what_is_ones_own(client: httpx.AsyncClient):
    people, foreign = await callers(), await a_foreign_case()
    await a_foreign_message()
    await a_foreign_session()

    for path in ("/v1/resident/cases", "/v1/resident/messages"):
        answer = await client.get(path, headers=people.headers("GET", path))
        assert answer.status_code == 200
        assert answer.json()["items"] == []
        assert foreign.foreign["number"] not in answer.text
    sessions = await client.get("/v1/resident/sessions", headers=people.headers("GET", "/v1/resident/sessions"))
    assert str(people.resident.session_id) in sessions.text
    assert str(people.other.session_id) not in sessions.text


@pytest.mark.parametrize("filter_", ["resident_id", "owner_id", "user_id", "session_id", "phone", "applicant"])
async def test_no_filter_leads_to_another_owners_list(client: httpx.AsyncClient, filter_: str):
    people = await callers()
    await a_foreign_case()

    for path in ("/v1/resident/cases", "/v1/resident/messages"):
        address = f"{path}?{filter_}={people.other.id}"
        answer = await client.get(address, headers=people.headers("GET", address))
        assert answer.status_code in (200, 400, 422)
        assert answer.status_code != 200 or answer.json()["items"] == []


@pytest.mark.usefixtures("partners")
async def test_a_token_of_one_door_opens_no_other(app: Litestar, client: httpx.AsyncClient):
    people = await callers()
    tokens = {
        "/v1/resident/": people.headers("GET", "/v1/resident/me"), "/v1/staff/": people.headers("GET", "/v1/staff/me"),
    }  # fmt: skip

    for operation in operations(app):
        for door, headers in tokens.items():
            guarded = operation.path.startswith(("/v1/resident/", "/v1/staff/", "/v1/agency/"))
            if not guarded or operation.path.startswith(door) or operation.path == "/v1/staff/sessions":
                continue
            answer = await client.request(operation.method, operation.address(), headers=headers)
            assert answer.status_code == 401, f"{operation.method} {operation.path} with a token of {door}"
