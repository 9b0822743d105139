"""The public catalogue over HTTP."""

from __future__ import annotations

import httpx
import pytest

from backend import catalogue
from backend.catalogue.guide import WORDS
from tests.factories.catalogue import a_content, a_draft, a_published_item, an_editor

ITEMS = "/v1/public/items"
LOST = "11990100009900013U3990001003000"


@pytest.fixture
async def sample() -> None:
    await catalogue.seed()


@pytest.mark.usefixtures("sample")
async def test_a_search_answers_with_cards_best_first(client: httpx.AsyncClient):
    answer = await client.get(ITEMS, params={"q": "补办身份证", "limit": 3})

    page = answer.json()
    card = page["items"][0]
    assert answer.status_code == 200
    assert page["match"] == "reworded"
    assert (card["name"], card["code"], card["fee_from_fen"]) == ("居民身份证丢失补领", LOST, 4000)
    assert (card["domain"], card["region_name"], card["online_level"]) == ("公安", "示例市", "pre-review")


@pytest.mark.usefixtures("sample")
async def test_the_whole_catalogue_is_read_page_by_page(client: httpx.AsyncClient):
    seen: list[str] = []
    cursor = None

    while True:
        params = {"limit": 25, **({"cursor": cursor} if cursor else {})}
        page = (await client.get(ITEMS, params=params)).json()
        seen += [card["code"] for card in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break

    assert len(seen) == len(set(seen)) >= 40
    assert page["match"] == "all"


@pytest.mark.usefixtures("sample")
async def test_filters_work_together(client: httpx.AsyncClient):
    departments = (await client.get("/v1/public/departments", params={"domain": "公积金"})).json()["items"]

    params = {
        "q": "提取",
        "region": "990121",
        "department": departments[0]["id"],
        "domain": "公积金",
        "theme": "住房",
        "subject": "person",
    }
    names = {card["name"] for card in (await client.get(ITEMS, params=params)).json()["items"]}

    assert names == {"购房提取住房公积金", "租房提取住房公积金"}


@pytest.mark.usefixtures("sample")
async def test_a_guide_is_whole(client: httpx.AsyncClient):
    answer = await client.get(f"{ITEMS}/{LOST}")

    whole = answer.json()
    guide = whole["guide"]
    assert whole["version"] == 1
    assert whole["item"]["name"] == "居民身份证丢失补领"
    assert [hall["code"] for hall in whole["halls"]] == ["city-hall"]
    assert guide["fee"]["charges"][0]["amount_fen"] == 4000
    assert guide["statutory_days"] == 60
    assert guide["statutory_unit"] == "day"
    assert all(material["basis"] for material in guide["materials"])
    assert guide["forms"][0]["fields"][0] == {
        "label": "姓名",
        "sample": "张小明",
        "hint": "与户口簿一致",
        "required": True,
    }


@pytest.mark.usefixtures("sample")
async def test_a_code_may_be_typed_in_small_letters(client: httpx.AsyncClient):
    assert (await client.get(f"{ITEMS}/{LOST.lower()}")).json()["item"]["code"] == LOST


async def test_a_new_version_changes_the_tag(client: httpx.AsyncClient):
    staff = await an_editor()
    code = await a_published_item(staff)
    tag = (await client.get(f"{ITEMS}/{code}")).headers["etag"]
    same = await client.get(f"{ITEMS}/{code}", headers={"if-none-match": tag})
    await catalogue.begin_version(staff, code)
    await catalogue.edit_version(staff, code, 2, a_content(promised_days=5, contact="12333"), revision=1)
    drafted = await client.get(f"{ITEMS}/{code}", headers={"if-none-match": tag})

    await catalogue.publish_version(staff, code, 2, revision=2)
    published = await client.get(f"{ITEMS}/{code}", headers={"if-none-match": tag})

    assert (same.status_code, drafted.status_code, published.status_code) == (304, 304, 200)
    assert published.json()["guide"]["contact"] == "12333"


async def test_a_draft_and_a_withdrawn_item_answer_like_one_that_never_was(client: httpx.AsyncClient):
    staff = await an_editor()
    draft, withdrawn = await a_draft(staff), await a_published_item(staff)
    await catalogue.withdraw_version(staff, withdrawn, 1, because="依据废止")

    answers = [await client.get(f"{ITEMS}/{code}") for code in (draft, withdrawn, draft[:-3] + "999")]

    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "item-not-found"


@pytest.mark.usefixtures("sample")
async def test_the_menus_say_how_many_items_there_are_of_each(client: httpx.AsyncClient):
    everywhere = (await client.get("/v1/public/item-facets")).json()
    in_city = (await client.get("/v1/public/item-facets", params={"region": "990100"})).json()

    for name, values in (("domain", everywhere["domains"]), ("theme", everywhere["themes"])):
        for facet in values:
            page = (await client.get(ITEMS, params={name: facet["value"], "limit": 100})).json()
            assert len(page["items"]) == facet["count"]
    assert len(everywhere["domains"]) == 10
    assert {"教育", "民政"}.isdisjoint(facet["value"] for facet in in_city["domains"])


async def test_the_words_of_a_guide_are_served(client: httpx.AsyncClient):
    assert (await client.get("/v1/public/guide-words")).json() == WORDS


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?q=" + "长" * 51, 422, "invalid"),
        ("?department=x", 422, "invalid"),
        ("?subject=nobody", 422, "invalid"),
        ("?cursor=abc", 422, "cursor-invalid"),
        ("?theme=%00", 422, "invalid"),
        ("/short", 404, "not-found"),
        ("/" + "%00" * 31, 404, "not-found"),
    ],
)
async def test_what_cannot_be_answered_is_a_clear_problem(
    client: httpx.AsyncClient, query: str, status: int, code: str
):
    answer = await client.get(ITEMS + query)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    "typed", ["%", "'; DROP TABLE regions; --", "\x00", "a" * 50, "\ud7ff", "𠀀𠀁", "证" * 50, "1"]
)
async def test_every_query_is_answered(client: httpx.AsyncClient, typed: str):
    assert (await client.get(ITEMS, params={"q": typed})).status_code == 200
