"""Codes and names are stable promises: unique, spelled in one way, written down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

import msgspec

from backend import jobs
from backend.errors import RESERVED, RETIRED_CODES, DomainError, NotFound, kebab_case
from tests.house import pages


def test_every_problem_has_a_code_of_its_own_and_a_chinese_title():
    codes = Counter(kind.code for kind in pages.problem_classes())

    assert [code for code, times in codes.items() if times > 1] == []
    for kind in pages.problem_classes():
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", kind.code), kind
        assert re.search(r"[\u4e00-\u9fff]", kind.title), kind
        assert 400 <= kind.status < 600, kind
        assert kind.code == kebab_case(kind.__name__), kind


def derived_again(kinds: list[type[DomainError]], retired: Collection[str]) -> list[str]:
    """Living classes whose code a release has retired."""
    return [kind.__qualname__ for kind in kinds if kind.code in retired]


def test_no_problem_has_a_code_that_was_retired():
    assert derived_again(pages.problem_classes(), RETIRED_CODES) == []
    assert derived_again([NotFound], {"not-found": "1.0.0"}) == ["NotFound"]
    for code, release in RETIRED_CODES.items():
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", code), code
        assert re.fullmatch(r"\d+\.\d+\.\d+", release), code


def test_every_event_is_named_after_its_subject_and_what_happened_to_it():
    for name, kind in pages.facts().items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", name), name
        assert len(name) <= 64
        fields = {each.name: each for each in msgspec.structs.fields(kind)}
        assert kind.about in fields, name
        assert len(name.partition(".")[0]) <= 32


NAMES_OF_NO_PERSON = {
    "agency.key-issued.key_name": "the name of a key",
    "agency.key-revoked.key_name": "the name of a key",
    "wechat.pushed.name": "WeChat's name for what happened",
}
"""Fields that are called a name and name no person, and what they are."""


def test_events_carry_no_field_that_could_name_a_person():
    personal = re.compile(r"(^|_)(phone|name|openid|unionid|address|id_number|token|secret|password|text|remark)$")
    found = [
        f"{name}.{each.name}"
        for name, kind in pages.facts().items()
        for each in msgspec.structs.fields(kind)
        if personal.search(each.name)
    ]

    assert set(found) == NAMES_OF_NO_PERSON.keys()


def test_jobs_are_named_after_their_room_and_what_they_do():
    for name in jobs.names():
        if not name.startswith("test."):
            assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", name), name


def test_reserved_members_of_a_problem_are_those_that_it_has():
    assert {"type", "title", "status", "code", "request_id", "retryable", "detail"} <= RESERVED


def test_the_page_of_problems_is_up_to_date():
    assert (pages.DOCS / "problems.md").read_text("utf-8") == pages.problems()


def test_the_page_of_events_is_up_to_date():
    assert (pages.DOCS / "events.md").read_text("utf-8") == pages.ledger()
