"""One token for everybody, one refresher, and never a refresh too many."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from backend import cache, clock
from backend.partners import Partners, partners_from
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.errors import WechatBusy, WechatMisconfigured
from backend.partners.wechat.live import LiveWeChat
from backend.partners.wechat.port import PartnerUnreachable, Sent, SubscribeMessage
from backend.partners.wechat.sandbox.world import Template
from backend.partners.wechat.token import FORCE_EVERY, IssuedToken, TokenKeeper
from backend.settings import settings, using

SEND = "/cgi-bin/message/subscribe/send"


def live(partners: Partners) -> LiveWeChat:
    assert isinstance(partners.wechat, LiveWeChat)
    return partners.wechat


def crowd(sandbox: Sandbox, size: int) -> list[SubscribeMessage]:
    """Messages to so many people, all of whom allowed one."""
    sandbox.world.mini_program.templates["T"] = Template("T", "进度", ("thing1",))
    people = [sandbox.world.persona(f"居民{number}", quota={"T": 1}) for number in range(size)]
    return [SubscribeMessage(openid=each.openid, template_id="T", data={"thing1": "已受理"}) for each in people]


async def send_all(partners: Partners, messages: list[SubscribeMessage]) -> list[Sent]:
    return await asyncio.gather(*(partners.wechat.send_subscribe_message(each) for each in messages))


async def test_fifty_sends_without_a_token_ask_for_one(sandbox: Sandbox, partners: Partners):
    sent = await send_all(partners, crowd(sandbox, 50))

    assert len({each.message_id for each in sent}) == 50
    assert sandbox.world.mini_program.tokens.asks == 1


@pytest.mark.parametrize("end", ["killed", "expired"])
async def test_fifty_sends_with_a_dead_token_make_one_refresh_and_each_arrives_once(
    sandbox: Sandbox, partners: Partners, end: str
):
    messages = crowd(sandbox, 50)
    await live(partners).mini_program.tokens.current()
    asked = sandbox.world.mini_program.tokens.asks
    if end == "killed":
        sandbox.world.mini_program.tokens.kill()
    else:
        sandbox.world.advance(7201)

    await send_all(partners, messages)

    assert sandbox.world.mini_program.tokens.asks == asked + 1
    assert sandbox.world.mini_program.tokens.forces == 0
    assert len(sandbox.world.delivered) == 50


async def test_another_process_takes_the_shared_token_without_asking(sandbox: Sandbox, partners: Partners):
    token = await live(partners).mini_program.tokens.current()
    other = partners_from(settings())

    assert await live(other).mini_program.tokens.current() == token
    assert sandbox.world.mini_program.tokens.asks == 1
    await other.close()


async def test_the_shared_token_is_sealed(sandbox: Sandbox, partners: Partners):
    token = await live(partners).mini_program.tokens.current()

    kept = await cache.redis().get(f"wechat-token:{settings().wechat_appid}")

    assert kept is not None
    assert token.encode() not in kept
    assert kept.startswith(b"v1.")


async def test_ten_processes_with_a_dead_token_make_one_refresh(sandbox: Sandbox, partners: Partners):
    others = [partners_from(settings()) for _ in range(10)]
    messages = crowd(sandbox, 10)
    for each in others:
        await live(each).mini_program.tokens.current()
    sandbox.world.mini_program.tokens.kill()

    await asyncio.gather(
        *(each.wechat.send_subscribe_message(message) for each, message in zip(others, messages, strict=True))
    )

    assert sandbox.world.mini_program.tokens.asks == 2
    for each in others:
        await each.close()


async def test_without_redis_each_process_keeps_its_own_copy(
    sandbox: Sandbox, partners: Partners, monkeypatch: pytest.MonkeyPatch
):
    async def down(operation: object) -> None:
        raise cache.CacheDown

    monkeypatch.setattr(cache, "ask", down)

    first = await live(partners).mini_program.tokens.current()
    again = await live(partners).mini_program.tokens.current()
    sandbox.world.mini_program.tokens.kill()
    other = await live(partners).mini_program.tokens.instead_of(first)

    assert first == again != other
    assert sandbox.world.mini_program.tokens.asks == 2


async def test_a_shared_value_that_was_tampered_with_is_passed_over(sandbox: Sandbox, partners: Partners):
    await cache.redis().set(f"wechat-token:{settings().wechat_appid}", "v1.aes-gcm.dev.AAAA")

    assert await live(partners).mini_program.tokens.current()
    assert sandbox.world.mini_program.tokens.asks == 1


async def test_both_accounts_have_their_own_token(sandbox: Sandbox, partners: Partners):
    ours = live(partners)

    assert await ours.mini_program.tokens.current() != await ours.official_account.tokens.current()
    assert sandbox.world.mini_program.tokens.asks == sandbox.world.official_account.tokens.asks == 1


async def test_a_token_is_renewed_before_it_ends(sandbox: Sandbox, partners: Partners):
    keeper = live(partners).mini_program.tokens
    first = await keeper.current()

    with clock.travel(by=timedelta(seconds=7200 - 299)):
        assert await keeper.current() != first
    assert sandbox.world.mini_program.tokens.asks == 2


class Desk:
    """Gives out the tokens that it is given, and counts."""

    def __init__(self, *answers: IssuedToken | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[bool] = []

    async def __call__(self, force: bool) -> IssuedToken:
        self.asked.append(force)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_token(text: str, seconds: float) -> IssuedToken:
    return IssuedToken(text, clock.now().timestamp() + seconds)


async def test_while_wechat_has_not_renewed_it_is_not_asked_again_and_again():
    desk = Desk(a_token("old", 200))
    keeper = TokenKeeper("wx1", desk)

    assert [await keeper.current() for _ in range(20)] == ["old"] * 20
    assert desk.asked == [False]


async def test_a_token_that_lives_is_used_while_wechat_cannot_be_reached():
    desk = Desk(a_token("old", 310), PartnerUnreachable("wechat", "timeout"))
    keeper = TokenKeeper("wx2", desk)
    await keeper.current()
    await cache.redis().flushdb()

    with clock.travel(by=timedelta(seconds=60)):
        assert await keeper.current() == "old"
    with clock.travel(by=timedelta(seconds=311)), pytest.raises(PartnerUnreachable):
        await keeper.current()


async def test_force_is_used_only_when_wechat_gives_the_refused_token_again():
    desk = Desk(a_token("same", 7000), a_token("same", 7000), a_token("new", 7200))
    keeper = TokenKeeper("wx3", desk)
    refused = await keeper.current()

    assert await keeper.instead_of(refused) == "new"
    assert desk.asked == [False, False, True]


async def test_force_is_not_repeated_within_thirty_seconds_by_any_process():
    desk = Desk(a_token("same", 7000))
    one, two = TokenKeeper("wx4", desk), TokenKeeper("wx4", desk)
    await one.current()
    await one.instead_of("same")

    for keeper in (one, two):
        with pytest.raises(WechatBusy) as trouble:
            await keeper.instead_of("same")
        assert trouble.value.retry_after == FORCE_EVERY
    assert desk.asked.count(True) == 1


async def test_a_token_refused_again_after_the_refresh_is_not_tried_for_ever(sandbox: Sandbox, partners: Partners):
    (message,) = crowd(sandbox, 1)
    sandbox.world.faults.add(SEND, "errcode", number=40001)

    with pytest.raises(WechatBusy):
        await partners.wechat.send_subscribe_message(message)

    assert sandbox.world.faults.struck == 2


async def test_a_wrong_secret_is_a_matter_for_the_operator(sandbox: Sandbox):
    with using(wechat_secret="wrong"):
        bundle = partners_from(settings())
        with pytest.raises(WechatMisconfigured) as trouble:
            await bundle.wechat.templates()
        await bundle.close()

    assert trouble.value.partner_code == "40125"


async def test_without_appid_nothing_is_asked(sandbox: Sandbox):
    with using(wechat_appid="", wechat_secret=""):
        bundle = partners_from(settings())
        with pytest.raises(WechatMisconfigured):
            await bundle.wechat.session_of("code")
        await bundle.close()


def test_a_token_is_not_shown():
    assert "secret" not in repr(IssuedToken("secret", 1.0))
