"""The day in the hall over HTTP: codes, kiosk, desk, windows, board; and what no other caller may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from uuid_utils.compat import uuid7

from backend import clock
from backend.appointments import posters
from backend.appointments.booking import visitor_key
from backend.identity.duties import hall_duty, kiosk_duty
from backend.partners import Partners
from models.appointments import Appointment, ServiceLine, Slot, Window
from models.regions import Hall
from tests.factories.appointments import a_line, a_slot, a_window, an_appointment
from tests.factories.identity import a_resident, a_staff, headers_of, staff_headers_of

PHONE = "13800138000"
Headers = dict[str, str]


class Day:
    """A hall with a window, a resident with a visit, a clerk and a kiosk, each with their headers."""

    slot: Slot
    line: ServiceLine
    window: Window
    visit: Appointment
    resident: Headers
    clerk: Headers
    kiosk: Headers

    @property
    def hall(self) -> str:
        return f"/v1/staff/halls/{self.slot.hall_id}"

    @property
    def appointment(self) -> str:
        return f"/v1/resident/appointments/{self.visit.id}"


@pytest.fixture
async def day() -> Day:
    made = Day()
    made.line = await a_line()
    made.window = await a_window(made.line, "3")
    made.slot = await a_slot(5, made.line, timedelta(seconds=1), day=clock.today(), walk_in_quota=1)
    resident = await a_resident()
    made.visit = await an_appointment(made.slot, resident, visitor_key=visitor_key("002X", PHONE))
    code = (await Hall.get(id=made.slot.hall_id)).code
    made.resident = headers_of(resident)
    made.clerk = staff_headers_of(await a_staff(duties={hall_duty(code)}))
    made.kiosk = staff_headers_of(await a_staff(duties={kiosk_duty(code)}))
    return made


async def scanned(client: httpx.AsyncClient, day: Day) -> httpx.Response:
    """The kiosk reads a fresh code."""
    shown = (await client.get(f"{day.appointment}/check-in-code", headers=day.resident)).json()
    return await client.post(f"{day.hall}/kiosk/scans", headers=day.kiosk, json={"code": shown["code"]})


async def test_from_the_code_on_the_phone_to_the_window_and_out(client: httpx.AsyncClient, day: Day):
    before = await client.get(f"{day.appointment}/queue", headers=day.resident)
    ticket = await scanned(client, day)
    waiting = await client.get(f"{day.appointment}/queue", headers=day.resident)
    called = await client.post(f"/v1/staff/windows/{day.window.id}/call", headers=day.clerk)
    board = await client.get(f"/v1/public/halls/{day.slot.hall_id}/board")
    served = await client.post(f"/v1/staff/tickets/{called.json()['id']}/serve", headers=day.clerk)
    after = await client.get(f"{day.appointment}/queue", headers=day.resident)

    assert (before.status_code, before.json()["code"]) == (404, "ticket-not-found")
    assert (ticket.status_code, ticket.json()["label"]) == (201, f"{day.line.code}001")
    assert (waiting.json()["state"], waiting.json()["ahead"]) == ("waiting", 0)
    assert called.status_code == 200
    assert [(each["label"], each["window"]) for each in board.json()["called"]] == [(f"{day.line.code}001", "3")]
    assert (served.status_code, served.json()["state"]) == (200, "served")
    assert after.json()["state"] == "served"


async def test_a_code_is_shown_as_data_as_png_and_as_svg_and_never_kept(client: httpx.AsyncClient, day: Day):
    data, png, svg = [
        await client.get(f"{day.appointment}/check-in-code{kind}", headers=day.resident)
        for kind in ("", ".png", ".svg")
    ]

    assert data.json()["code"].startswith("ZB1.")
    assert (png.headers["content-type"], png.content[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert svg.text.startswith("<svg ")
    assert {each.headers["cache-control"] for each in (data, png, svg)} == {"no-store"}


async def test_a_code_is_good_once_and_every_refusal_is_byte_for_byte_the_same(client: httpx.AsyncClient, day: Day):
    shown = (await client.get(f"{day.appointment}/check-in-code", headers=day.resident)).json()["code"]
    scan = f"{day.hall}/kiosk/scans"
    first = await client.post(scan, headers=day.kiosk, json={"code": shown})

    refused = [
        await client.post(scan, headers=day.kiosk, json={"code": code})
        for code in (shown, shown[:-4] + "AAAA", "ZB1.X", "https://example.org")
    ]

    assert first.status_code == 201
    assert {each.status_code for each in refused} == {403}
    bodies = [{**each.json(), "request_id": ""} for each in refused]
    assert all(each == bodies[0] for each in bodies)
    assert bodies[0]["code"] == "check-in-refused"


@pytest.mark.usefixtures("partners")
async def test_another_residents_appointment_has_no_code_no_queue_and_no_picture(client: httpx.AsyncClient, day: Day):
    stranger = headers_of(await a_resident())

    for path in ("check-in-code", "check-in-code.png", "check-in-code.svg", "queue", "mini-program-code"):
        answer = await client.get(f"{day.appointment}/{path}", headers=stranger)
        assert (answer.status_code, answer.json()["code"]) == (404, "appointment-not-found")


async def test_the_kiosk_knows_people_by_four_characters_and_phone(client: httpx.AsyncClient, day: Day):
    path = f"{day.hall}/kiosk/check-ins"

    wrong = await client.post(path, headers=day.kiosk, json={"id_last_four": "0021", "phone": PHONE})
    right = await client.post(path, headers=day.kiosk, json={"id_last_four": "002x", "phone": PHONE})

    assert (wrong.status_code, wrong.json()["code"]) == (404, "appointment-not-found")
    assert right.status_code == 201
    assert PHONE not in right.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("kiosk/scans", {}),
        ("kiosk/scans", {"code": ""}),
        ("kiosk/scans", {"code": "A" * 201}),
        ("kiosk/scans", {"code": "A", "more": 1}),
        ("kiosk/check-ins", {"id_last_four": "00", "phone": PHONE}),
        ("kiosk/check-ins", {"id_last_four": "002X", "phone": "1"}),
        ("kiosk/walk-ins", {"line_id": "A"}),
    ],
)
async def test_what_is_no_request_is_answered_with_where_it_is_wrong(
    client: httpx.AsyncClient, day: Day, path: str, body: dict[str, Any]
):
    answer = await client.post(f"{day.hall}/{path}", headers=day.kiosk, json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_kiosk_gives_out_walk_in_numbers_until_the_quota_is_spent(client: httpx.AsyncClient, day: Day):
    body = {"line_id": str(day.line.id)}

    first, second = [await client.post(f"{day.hall}/kiosk/walk-ins", headers=day.kiosk, json=body) for _ in range(2)]

    assert (first.status_code, first.json()["appointment_id"]) == (201, None)
    assert (second.status_code, second.json()["code"]) == (409, "walk-ins-full")


@pytest.mark.usefixtures("partners")
async def test_a_kiosk_calls_no_number_and_sees_no_queue(client: httpx.AsyncClient, day: Day):
    ticket = (await scanned(client, day)).json()["id"]

    answers = [
        await client.post(f"/v1/staff/windows/{day.window.id}/call", headers=day.kiosk),
        await client.post(f"/v1/staff/tickets/{ticket}/serve", headers=day.kiosk),
        await client.get(f"{day.hall}/queue", headers=day.kiosk),
        await client.get(f"{day.hall}/poster-code", headers=day.kiosk),
    ]

    assert {each.status_code for each in answers} == {404}


async def test_a_window_works_through_its_queue(client: httpx.AsyncClient, day: Day):
    desk = await client.post(f"/v1/staff/appointments/{day.visit.id}/check-in", headers=day.clerk)
    called = (await client.post(f"/v1/staff/windows/{day.window.id}/call", headers=day.clerk)).json()
    busy = await client.post(f"/v1/staff/windows/{day.window.id}/call", headers=day.clerk)
    ticket = f"/v1/staff/tickets/{called['id']}"
    again = await client.post(f"{ticket}/call", headers=day.clerk)
    missed = await client.post(f"{ticket}/miss", headers=day.clerk)
    nobody = await client.post(f"/v1/staff/windows/{day.window.id}/call", headers=day.clerk)
    back = await client.post(f"{ticket}/rejoin", headers=day.clerk)
    handed = await client.post(f"{ticket}/hand-over", headers=day.clerk, json={"window_id": str(day.window.id)})
    queue = await client.get(f"{day.hall}/queue", headers=day.clerk)

    assert desk.status_code == 201
    assert (busy.status_code, busy.json()["code"]) == (409, "window-busy")
    assert (again.json()["calls"], missed.json()["state"], back.json()["state"]) == (2, "missed", "waiting")
    assert (nobody.status_code, nobody.json()["code"]) == (409, "queue-empty")
    assert handed.json()["window"] == "3"
    assert [each["label"] for each in queue.json()] == [called["label"]]


async def test_staff_of_another_hall_learn_nothing(client: httpx.AsyncClient, day: Day):
    ticket = (await scanned(client, day)).json()["id"]
    stranger = staff_headers_of(await a_staff(duties={"hall:somewhere-else"}))
    unknown = uuid7()

    for real, absent in (
        (f"/v1/staff/windows/{day.window.id}/call", f"/v1/staff/windows/{unknown}/call"),
        (f"/v1/staff/tickets/{ticket}/serve", f"/v1/staff/tickets/{unknown}/serve"),
        (f"/v1/staff/appointments/{day.visit.id}/check-in", f"/v1/staff/appointments/{unknown}/check-in"),
    ):
        answers = [await client.post(path, headers=stranger) for path in (real, absent)]
        assert {each.status_code for each in answers} == {404}
        assert len({each.json()["code"] for each in answers}) == 1


async def test_the_board_is_revalidated_and_knows_when_nothing_changed(client: httpx.AsyncClient, day: Day):
    path = f"/v1/public/halls/{day.slot.hall_id}/board"
    first = await client.get(path)
    same = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    await scanned(client, day)
    changed = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    absent = await client.get(f"/v1/public/halls/{uuid7()}/board")

    assert (same.status_code, same.content) == (304, b"")
    assert (changed.status_code, changed.json()["lines"][0]["waiting"]) == (200, 1)
    assert absent.status_code == 404


async def test_a_stream_for_a_hall_that_does_not_exist_is_a_plain_404(client: httpx.AsyncClient):
    answer = await client.get(f"/v1/public/halls/{uuid7()}/board/stream")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_mini_program_codes_name_hall_and_appointment_within_32_characters(
    client: httpx.AsyncClient, partners: Partners, day: Day
):
    poster = await client.get(f"{day.hall}/poster-code", headers=day.clerk)
    mine = await client.get(f"{day.appointment}/mini-program-code", headers=day.resident)

    assert {poster.status_code, mine.status_code} == {200}
    assert poster.content[:4] == mine.content[:4] == b"\x89PNG"
    for kind, identity in (("h", day.slot.hall_id), ("a", day.visit.id)):
        scene = posters.scene_of(kind, identity)
        assert len(scene) <= 32
        assert posters.read_scene(scene) == (kind, identity)


@pytest.mark.parametrize("scene", ["", "h=", "x=AAAAAAAAAAAAAAAAAAAAAA", "h=short", "a=" + "A" * 23])
def test_a_scene_that_is_not_ours_is_refused(scene: str):
    with pytest.raises(ValueError, match="scene"):
        posters.read_scene(scene)


async def test_the_machines_are_served_as_data(client: httpx.AsyncClient):
    found = (await client.get("/v1/public/lifecycle/appointments")).json()

    moves = {(each["from"], each["transition"]): each["to"] for each in found["appointment"]["transitions"]}
    assert moves["booked", "check-in"] == "checked-in"
    assert {each["code"] for each in found["appointment"]["states"] if each["terminal"]} == {
        "served", "missed", "cancelled", "expired",
    }  # fmt: skip
    assert {each["code"] for each in found["ticket"]["states"] if each["terminal"]} == {"served"}


def test_hall_ids_fit_into_scenes_of_every_value():
    for identity in (UUID(int=0), UUID(int=2**128 - 1)):
        assert posters.read_scene(posters.scene_of("h", identity)) == ("h", identity)
