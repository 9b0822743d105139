"""Looking a case up without signing in: masked, counted, and silent about which of the two was wrong."""

from __future__ import annotations

import pytest

from backend import cache, cases
from backend.cases import Applicant, Missing
from backend.cases.errors import CaseInvalid, CaseLookupFailed
from backend.cases.public_lookup import CaseLookupLimitExceeded
from backend.settings import using
from tests.factories.cases import ID_NUMBER, PHONE, a_case, a_number, reported


async def test_number_and_four_characters_show_the_case_without_naming_anybody():
    case = await a_case(title="张三丰换领")
    await reported(case, "补正", public_remark="张三丰请补正", materials=[Missing("户口簿")])
    await reported(case, "受理")

    seen = await cases.look_up_case(case.number, "002x")

    assert (seen.state, seen.state_name) == ("accepted", "已受理")
    assert [step.name for step in seen.timeline] == ["补正", "受理"]
    assert not any(word in repr(seen) for word in ("张三", ID_NUMBER, PHONE, "户口簿"))


async def test_a_wrong_number_and_wrong_characters_are_answered_in_the_same_words():
    case = await a_case()
    problems = []

    for number, tail in ((case.number, "0000"), (a_number(), "002X"), ("不是编号", "002X")):
        with pytest.raises(CaseLookupFailed) as refused:
            await cases.look_up_case(number, tail)
        problems.append((refused.value.code, refused.value.detail, refused.value.fields, refused.value.facts))

    assert len(set(map(repr, problems))) == 1


async def test_a_case_without_an_identity_number_cannot_be_looked_up():
    case = await a_case(applicant=Applicant("张三", None, None, PHONE))

    with pytest.raises(CaseLookupFailed):
        await cases.look_up_case(case.number, "8000")


async def test_characters_that_are_none_are_pointed_at():
    with pytest.raises(CaseInvalid) as refused:
        await cases.look_up_case(a_number(), "12")

    assert refused.value.fields[0].pointer == "/id_last_four"


async def test_too_many_tries_for_a_number_refuse_the_right_characters_too():
    case, other = await a_case(), await a_case()

    with using(case_lookups_per_hour=3):
        for _ in range(3):
            with pytest.raises(CaseLookupFailed):
                await cases.look_up_case(case.number, "0000")
        with pytest.raises(CaseLookupLimitExceeded) as refused:
            await cases.look_up_case(f" {case.number.lower()}", "002X")
        await cases.look_up_case(other.number, "002X")

    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 3600


async def test_a_number_that_does_not_exist_is_counted_like_one_that_does():
    number = a_number()

    with using(case_lookups_per_hour=1):
        with pytest.raises(CaseLookupFailed):
            await cases.look_up_case(number, "0000")
        with pytest.raises(CaseLookupLimitExceeded):
            await cases.look_up_case(number, "0000")


async def test_the_day_has_a_limit_of_its_own():
    case = await a_case()

    with using(case_lookups_per_hour=100, case_lookups_per_day=2):
        for _ in range(2):
            await cases.look_up_case(case.number, "002X")
        with pytest.raises(CaseLookupLimitExceeded):
            await cases.look_up_case(case.number, "002X")


async def test_without_a_counter_no_guess_is_allowed(monkeypatch: pytest.MonkeyPatch):
    case = await a_case()

    async def dead(*_: object) -> cache.Verdict:
        raise cache.CacheDown

    monkeypatch.setattr(cache, "count_within", dead)

    with pytest.raises(cache.CacheDown):
        await cases.look_up_case(case.number, "002X")
