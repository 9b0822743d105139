"""Signing in with a code of WeChat, against the simulator over real HTTP (B-13, B-14, B-15)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from backend import clock, identity
from backend.cache import CacheDown
from backend.database import fetch, fetch_row, fetch_value
from backend.identity import session_watch, tokens
from backend.identity.errors import AccountDisabled, SignInBusy, SignInCodeInvalid, SignInRisky, TokenExpired
from backend.partners import Partners
from backend.partners.errors import PartnerUnreachable
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.port import Session
from backend.settings import using
from models.events import EventRecord
from tests.factories.identity import OneAnswer, an_openid, signed_in


def code_of(sandbox: Sandbox, name: str = "R001") -> str:
    return sandbox.world.mint("login", sandbox.world.persona(name))


async def test_a_newcomer_becomes_a_resident_and_is_known_the_second_time(sandbox: Sandbox, partners: Partners) -> None:
    first = await identity.sign_in_resident(code_of(sandbox), device="ios", wechat=partners.wechat)
    second = await identity.sign_in_resident(code_of(sandbox), device="android", wechat=partners.wechat)
    stranger = await identity.sign_in_resident(code_of(sandbox, "R002"), device="ios", wechat=partners.wechat)

    assert first.resident_id == second.resident_id != stranger.resident_id
    assert len({first.session_id, second.session_id, stranger.session_id}) == 3
    assert await EventRecord.filter(name="resident.joined").count() == 2
    assert await EventRecord.filter(name="session.started").count() == 3


async def test_openid_unionid_and_session_key_are_kept_sealed(sandbox: Sandbox, partners: Partners) -> None:
    await identity.sign_in_resident(code_of(sandbox), device="ios", wechat=partners.wechat)
    somebody = sandbox.world.persona("R001")

    row = await fetch_row("SELECT * FROM wechat_accounts")

    assert row is not None
    kept = " ".join(str(value) for value in row.values())
    for secret in (somebody.openid, somebody.unionid, somebody.session_key):
        assert secret not in kept
    assert await identity.openid_of(row["resident_id"]) == somebody.openid


async def test_a_code_is_good_for_one_use(sandbox: Sandbox, partners: Partners) -> None:
    code = code_of(sandbox)
    await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)

    with pytest.raises(SignInCodeInvalid):
        await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)

    assert await fetch_value("SELECT count(*) FROM sessions") == 1


async def test_of_two_uses_of_a_code_at_once_one_wins_even_if_wechat_should_answer_both() -> None:
    wechat = OneAnswer(Session(an_openid(), "key"))

    outcomes = await asyncio.gather(
        *(identity.sign_in_resident("the-same-code", device="ios", wechat=wechat) for _ in range(20)),  # type: ignore[arg-type]
        return_exceptions=True,
    )

    assert sum(isinstance(each, identity.Tokens) for each in outcomes) == 1
    assert sum(isinstance(each, SignInCodeInvalid) for each in outcomes) == 19
    assert await fetch_value("SELECT count(*) FROM sessions") == 1


async def test_an_old_code_and_a_code_of_another_app_are_refused(sandbox: Sandbox, partners: Partners) -> None:
    old = code_of(sandbox)
    sandbox.world.advance(360)
    foreign = code_of(sandbox)
    sandbox.world.codes[foreign].appid = "wx0000000000000000"

    for code in (old, foreign, "made-up", "", "x" * 300, "line\nfeed"):
        with pytest.raises(SignInCodeInvalid):
            await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)

    assert await fetch_value("SELECT count(*) FROM residents") == 0


async def test_a_risky_account_is_refused(sandbox: Sandbox, partners: Partners) -> None:
    sandbox.world.persona("R001", blocked=True)

    with pytest.raises(SignInRisky):
        await identity.sign_in_resident(code_of(sandbox), device="ios", wechat=partners.wechat)


@pytest.mark.parametrize("number", [-1, 45011])
async def test_when_wechat_is_busy_the_same_code_may_be_sent_again(
    number: int, sandbox: Sandbox, partners: Partners
) -> None:
    code = code_of(sandbox)
    sandbox.world.faults.add("/sns/jscode2session", "errcode", times=20, number=number)
    with pytest.raises(SignInBusy) as refused:
        await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)
    assert refused.value.retry_after
    sandbox.world.faults.clear()

    assert await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)


async def test_when_wechat_cannot_be_reached_the_same_code_may_be_sent_again(
    sandbox: Sandbox, partners: Partners
) -> None:
    code = code_of(sandbox)
    sandbox.world.faults.add("/sns/jscode2session", "status", times=20, number=502)
    with pytest.raises(PartnerUnreachable):
        await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)
    sandbox.world.faults.clear()

    assert await fetch_value("SELECT count(*) FROM spent_codes") == 0


async def test_first_sign_ins_of_one_account_at_once_make_one_resident() -> None:
    openid = an_openid()

    crowd = await asyncio.gather(*(signed_in(openid=openid) for _ in range(10)))

    assert len({each.resident_id for each in crowd}) == 1
    assert await fetch_value("SELECT count(*) FROM residents") == 1
    assert await EventRecord.filter(name="resident.joined").count() == 1


async def test_one_sign_in_too_many_ends_the_session_unused_for_the_longest_time() -> None:
    openid = an_openid()
    with using(sessions_per_resident=3):
        first, second, third = [await signed_in(openid=openid) for _ in range(3)]
        await identity.refresh_session(first.refresh_token, device="ios")
        await signed_in(openid=openid)

    ended = [row["id"] for row in await fetch("SELECT id FROM sessions WHERE ended_at IS NOT NULL")]
    assert ended == [second.session_id]
    assert not session_watch.is_live(second.session_id)
    assert session_watch.is_live(third.session_id)


async def test_a_closed_account_does_not_sign_in_and_its_sessions_are_over() -> None:
    openid = an_openid()
    given = await signed_in(openid=openid)
    assert await identity.disable_resident(given.resident_id)

    with pytest.raises(AccountDisabled):
        await signed_in(openid=openid)
    assert not session_watch.is_live(given.session_id)
    assert not await identity.disable_resident(given.resident_id)
    assert await identity.enable_resident(given.resident_id)
    assert await signed_in(openid=openid)


async def test_one_account_signs_in_only_so_often() -> None:
    openid = an_openid()
    with using(sessions_per_resident=100):
        for _ in range(20):
            await signed_in(openid=openid)
        with pytest.raises(SignInBusy):
            await signed_in(openid=openid)

    assert await signed_in()


async def test_without_a_counter_no_sign_in_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dead(*_: object) -> None:
        raise CacheDown

    monkeypatch.setattr("backend.cache.count_within", dead)

    with pytest.raises(CacheDown):
        await signed_in()


async def test_a_follower_of_the_official_account_is_recognised_by_the_unionid_whichever_came_first() -> None:
    before = await signed_in(unionid="u-before")
    assert await identity.record_follow("oa-before", "u-before") == before.resident_id
    assert await identity.record_follow("oa-after", "u-after") is None
    after = await signed_in(unionid="u-after")

    assert await identity.openid_of(before.resident_id, "official_account") == "oa-before"
    assert await identity.openid_of(after.resident_id, "official_account") == "oa-after"
    assert await identity.record_unfollow("oa-before")
    assert not await identity.record_unfollow("oa-before")
    assert await identity.openid_of(before.resident_id, "official_account") is None


async def test_someone_who_follows_again_under_a_new_openid_is_found_under_the_new_one() -> None:
    somebody = await signed_in(unionid="u-1")
    await identity.record_follow("oa-1", "u-1")
    await identity.record_follow("oa-2", "u-1")

    assert await identity.openid_of(somebody.resident_id, "official_account") == "oa-2"


async def test_a_failure_after_wechat_answered_leaves_no_half_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr("backend.identity.signing_in._make_room", broken)
    with pytest.raises(ArithmeticError):
        await signed_in()

    assert await fetch_value("SELECT count(*) FROM residents") == 0
    assert await fetch_value("SELECT count(*) FROM sessions") == 0
    assert await EventRecord.all().count() == 0


async def test_an_account_sealed_under_an_older_fingerprint_key_is_still_found() -> None:
    openid = an_openid()
    with using(fingerprint_keys=f"a1:{'11' * 32}"):
        before = await signed_in(openid=openid)
    with using(fingerprint_keys=f"b2:{'22' * 32},a1:{'11' * 32}"):
        after = await signed_in(openid=openid)

    assert before.resident_id == after.resident_id


async def test_the_access_token_lives_as_long_as_the_setting_says() -> None:
    with using(access_token_seconds=20):
        given = await signed_in()

    assert 18 <= given.expires_in <= 22
    assert tokens.check_token(given.access_token, "resident")
    with clock.travel(by=timedelta(seconds=30)), pytest.raises(TokenExpired):
        tokens.check_token(given.access_token, "resident")
