"""Departments work on their own items over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from tests.factories.catalogue import a_guide, a_published_item, an_editor
from tests.factories.identity import a_resident, a_staff, headers_of, staff_headers_of

ITEMS = "/v1/staff/items"


def a_body(**changes: Any) -> dict[str, Any]:
    return {
        "basic_code": "990004006000",
        "level": "4",
        "kind": "payment",
        "name": "高龄津贴",
        "themes": ["养老"],
        "keywords": ["老年补贴"],
        "guide": msgspec.to_builtins(a_guide()),
        **changes,
    }


def an_edit(**changes: Any) -> dict[str, Any]:
    body = a_body(revision=1, **changes)
    return {key: value for key, value in body.items() if key not in ("basic_code", "level", "kind")}


async def test_a_version_goes_from_draft_to_force_and_out_of_it(client: httpx.AsyncClient):
    headers = staff_headers_of(await an_editor())

    created = await client.post(ITEMS, json=a_body(), headers=headers)
    code = created.json()["code"]
    edited = await client.put(f"{ITEMS}/{code}/versions/1", json=an_edit(name="高龄老人津贴"), headers=headers)
    check = await client.get(f"{ITEMS}/{code}/versions/1/faults", headers=headers)
    published = await client.post(f"{ITEMS}/{code}/versions/1/publish", json={"revision": 2}, headers=headers)
    public = await client.get(f"/v1/public/items/{code}")
    drafted = await client.post(f"{ITEMS}/{code}/versions", headers=headers)
    withdrawn = await client.post(f"{ITEMS}/{code}/versions/1/withdraw", json={"because": "依据废止"}, headers=headers)
    gone = await client.get(f"/v1/public/items/{code}")

    assert created.status_code == 201
    assert code.endswith("4990004006000")
    assert (edited.status_code, edited.json()["revision"]) == (200, 2)
    assert check.json() == {"publishable": True, "faults": []}
    assert (published.status_code, published.json()["state"]) == (200, "published")
    assert public.json()["item"]["name"] == "高龄老人津贴"
    assert (drafted.status_code, drafted.json()["number"], drafted.json()["based_on"]) == (201, 2, 1)
    assert withdrawn.json()["state"] == "withdrawn"
    assert gone.status_code == 404


async def test_the_department_sees_its_items_and_their_history(client: httpx.AsyncClient):
    staff = await an_editor()
    headers = staff_headers_of(staff)
    code = await a_published_item(staff)
    await a_published_item()

    own = (await client.get(ITEMS, headers=headers)).json()
    versions = (await client.get(f"{ITEMS}/{code}/versions", headers=headers)).json()
    version = (await client.get(f"{ITEMS}/{code}/versions/1", headers=headers)).json()

    assert [(item["code"], item["published"]) for item in own["items"]] == [(code, 1)]
    assert [(each["number"], each["state"]) for each in versions] == [(1, "published")]
    assert version["content"]["guide"]["promised_days"] == 5
    assert version["revision"] == 1


async def test_a_faulty_guide_is_refused_with_pointers(client: httpx.AsyncClient):
    headers = staff_headers_of(await an_editor())
    vague = {"ref": "m", "name": "其他材料", "source": "applicant"}
    body = a_body(guide=msgspec.to_builtins(a_guide(materials=[vague], forms=[], fee=None)))
    code = (await client.post(ITEMS, json=body, headers=headers)).json()["code"]

    answer = await client.post(f"{ITEMS}/{code}/versions/1/publish", json={"revision": 1}, headers=headers)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "guide-invalid")
    assert {fault["pointer"] for fault in problem["errors"]} == {
        "/guide/materials/0/name",
        "/guide/materials/0/basis",
        "/guide/fee",
    }


async def test_conflicts_are_distinguished(client: httpx.AsyncClient):
    staff = await an_editor()
    headers = staff_headers_of(staff)
    code = await a_published_item(staff)
    for _ in range(2):
        await client.post(f"{ITEMS}/{code}/versions", headers=headers)
    publish = f"{ITEMS}/{code}/versions/{{}}/publish"

    stale = await client.post(publish.format(2), json={"revision": 9}, headers=headers)
    await client.post(publish.format(2), json={"revision": 1}, headers=headers)
    again = await client.post(publish.format(2), json={"revision": 1}, headers=headers)
    late = await client.post(publish.format(3), json={"revision": 1}, headers=headers)
    twice = await client.post(ITEMS, json=a_body(), headers=headers)
    thrice = await client.post(ITEMS, json=a_body(), headers=headers)

    assert (stale.status_code, stale.json()["code"]) == (409, "item-draft-edit-conflict")
    assert (again.status_code, again.json()["code"]) == (409, "item-version-transition-refused")
    assert (late.status_code, late.json()["code"]) == (409, "item-draft-superseded")
    assert (late.json()["published"], late.json()["based_on"]) == (2, 1)
    assert (twice.status_code, thrice.status_code, thrice.json()["code"]) == (201, 409, "item-exists")


async def test_a_superseded_draft_may_be_moved_onto_the_version_in_force(client: httpx.AsyncClient):
    staff = await an_editor()
    headers = staff_headers_of(staff)
    code = await a_published_item(staff)
    for _ in range(2):
        await client.post(f"{ITEMS}/{code}/versions", headers=headers)
    await client.post(f"{ITEMS}/{code}/versions/2/publish", json={"revision": 1}, headers=headers)

    moved = await client.put(f"{ITEMS}/{code}/versions/3", json=an_edit(based_on=2), headers=headers)
    published = await client.post(f"{ITEMS}/{code}/versions/3/publish", json={"revision": 2}, headers=headers)

    assert (moved.json()["based_on"], published.status_code) == (2, 200)


ROUTES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/versions", None),
    ("POST", "/versions", None),
    ("GET", "/versions/1", None),
    ("PUT", "/versions/1", an_edit()),
    ("GET", "/versions/1/faults", None),
    ("POST", "/versions/1/publish", {"revision": 1}),
    ("POST", "/versions/1/withdraw", {"because": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_another_departments_item_answers_like_one_that_never_was(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
):
    code = await a_published_item()
    headers = staff_headers_of(await an_editor())

    foreign = await client.request(method, f"{ITEMS}/{code}{path}", json=body, headers=headers)
    nowhere = await client.request(method, f"{ITEMS}/{code[:-3]}999{path}", json=body, headers=headers)

    assert foreign.status_code == nowhere.status_code == 404
    assert {**foreign.json(), "request_id": ""} == {**nowhere.json(), "request_id": ""}


@pytest.mark.parametrize(("method", "path", "body"), [("GET", "", None), ("POST", "", a_body()), *ROUTES])
async def test_no_other_caller_gets_through_the_door(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
):
    code = await a_published_item()
    address = f"{ITEMS}/{code}{path}" if path else ITEMS

    nobody = await client.request(method, address, json=body)
    resident = await client.request(method, address, json=body, headers=headers_of(await a_resident()))

    assert (nobody.status_code, resident.status_code) == (401, 401)


async def test_staff_without_the_duty_are_refused(client: httpx.AsyncClient):
    owner = await an_editor()
    code = await a_published_item(owner)
    headers = staff_headers_of(await a_staff(department_id=owner.department_id))

    edit = await client.post(f"{ITEMS}/{code}/versions", headers=headers)
    publish = await client.post(f"{ITEMS}/{code}/versions/1/publish", json={"revision": 1}, headers=headers)
    read = await client.get(f"{ITEMS}/{code}/versions", headers=headers)

    assert (edit.status_code, publish.status_code, read.status_code) == (403, 403, 200)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"level": "9"}, "/level"),
        ({"basic_code": "1"}, "/basic_code"),
        ({"basic_code": "x" * 12}, "/basic_code"),
        ({"kind": "gift"}, "/kind"),
        ({"unknown": 1}, "/unknown"),
        ({"guide": {"summary": "x", "promised_days": -1}}, "/guide/promised_days"),
        ({"guide": {"summary": "x", "extra": 1}}, "/guide/extra"),
        ({"themes": ["x"] * 31}, "/themes"),
    ],
)
async def test_a_body_that_cannot_be_is_pointed_to(client: httpx.AsyncClient, changes: dict[str, Any], pointer: str):
    headers = staff_headers_of(await an_editor())

    answer = await client.post(ITEMS, json=a_body(**changes), headers=headers)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "changes",
    [{"name": "\x00"}, {"keywords": ["\x00"]}, {"guide": {"summary": "\x00"}}],
    ids=["name", "keyword", "guide"],
)
async def test_text_that_the_database_cannot_hold_is_refused(client: httpx.AsyncClient, changes: dict[str, Any]):
    answer = await client.post(ITEMS, json=a_body(**changes), headers=staff_headers_of(await an_editor()))

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize("number", ["0", "99999999999999999999", "x", "-1"])
async def test_a_number_that_cannot_be_is_not_found(client: httpx.AsyncClient, number: str):
    staff = await an_editor()
    code = await a_published_item(staff)

    answer = await client.get(f"{ITEMS}/{code}/versions/{number}", headers=staff_headers_of(staff))

    assert answer.status_code == 404
