"""ETag and 304 for any read."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, Request, Response, get, post
from litestar.response import Stream

from api import etag


@get("/public", middleware=[etag.Revalidated(public=True, max_age=60)])
async def public_page() -> dict[str, str]:
    return {"name": "公开"}


@get("/own", middleware=[etag.Revalidated()], headers={"cache-control": "no-store"})
async def own_page() -> dict[str, str]:
    return {"name": "本人"}


@get("/missing", status_code=404, middleware=[etag.Revalidated()])
async def missing() -> dict[str, str]:
    return {"code": "not-found"}


@post("/write", status_code=200, middleware=[etag.Revalidated()])
async def write() -> dict[str, str]:
    return {"name": "写"}


@get("/stream", middleware=[etag.Revalidated()])
async def stream() -> Stream:
    return Stream(iter(["甲", "乙"]))


@get("/versioned", middleware=[etag.Revalidated()])
async def versioned(request: Request) -> Response:
    tag = etag.weak("case", 7)
    if etag.unchanged(request, tag):
        return etag.not_modified(tag, "private, no-cache")
    return Response({"version": 7}, headers={"etag": tag})


@pytest.fixture
async def pages():
    app = Litestar([public_page, own_page, missing, write, stream, versioned], openapi_config=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t") as client:  # type: ignore[arg-type]
        yield client


async def test_a_second_read_of_the_same_is_304_without_a_body(pages: httpx.AsyncClient):
    first = await pages.get("/public")

    second = await pages.get("/public", headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, second.status_code, second.content) == (200, 304, b"")
    assert second.headers["etag"] == first.headers["etag"] == etag.strong(first.content)
    assert "content-type" not in second.headers
    assert "content-length" not in second.headers


async def test_a_public_page_may_be_kept_and_an_own_page_is_asked_for_again(pages: httpx.AsyncClient):
    public, own = await pages.get("/public"), await pages.get("/own")

    assert "public" in public.headers["cache-control"]
    assert "max-age=60" in public.headers["cache-control"]
    assert "stale-while-revalidate=600" in public.headers["cache-control"]
    assert set(own.headers["cache-control"].split(", ")) == {"private", "no-cache"}
    assert public.headers["etag"] != own.headers["etag"]


@pytest.mark.parametrize("given_", ['"other"', 'W/"other"', "other", "", '"', "\xff"])
async def test_another_tag_brings_the_whole_answer(pages: httpx.AsyncClient, given_: str):
    answer = await pages.get("/public", headers={"if-none-match": given_.encode("latin-1")})  # type: ignore[dict-item]

    assert (answer.status_code, answer.json()) == (200, {"name": "公开"})


async def test_the_tag_is_found_in_a_list_and_the_star_is_any(pages: httpx.AsyncClient):
    tag = (await pages.get("/public")).headers["etag"]

    for listed in (f'"a", {tag}', f"W/{tag}", "*", f'{tag}, "b"'):
        assert (await pages.get("/public", headers={"if-none-match": listed})).status_code == 304


async def test_the_tag_is_found_in_a_second_header(pages: httpx.AsyncClient):
    tag = (await pages.get("/public")).headers["etag"]

    answer = await pages.get("/public", headers=[("if-none-match", '"a"'), ("if-none-match", tag)])

    assert answer.status_code == 304


@pytest.mark.parametrize("path", ["/missing", "/stream"])
async def test_what_is_no_whole_success_goes_through_untouched(pages: httpx.AsyncClient, path: str):
    answer = await pages.get(path, headers={"if-none-match": "*"})

    assert answer.status_code in (404, 200)
    assert "etag" not in answer.headers
    assert answer.content


async def test_a_write_has_no_tag(pages: httpx.AsyncClient):
    answer = await pages.post("/write", headers={"if-none-match": "*"})

    assert (answer.status_code, answer.json()) == (200, {"name": "写"})
    assert "etag" not in answer.headers


async def test_a_handler_that_knows_its_version_answers_itself(pages: httpx.AsyncClient):
    first = await pages.get("/versioned")

    second = await pages.get("/versioned", headers={"if-none-match": first.headers["etag"]})

    assert first.headers["etag"].startswith('W/"')
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["cache-control"] == "private, no-cache"


def test_weak_tags_distinguish_versions_and_hide_them():
    assert etag.weak("a", 1) == etag.weak("a", 1)
    assert etag.weak("a", 1) != etag.weak("a", 2)
    assert etag.weak("a", "1x") != etag.weak("a1", "x")
    assert "secret" not in etag.weak("secret")


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=80), st.binary(max_size=20))
def test_a_tag_matches_only_where_it_is_named(header: str, body: bytes):
    tag = etag.strong(body)

    assert etag.matches(header, tag) == (tag in header or header.strip() == "*")
    assert etag.matches(f"{tag}, {tag}", tag)
