"""Signing in, phone numbers, session keys and followers, over real HTTP against the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.port import (
    PartnerRefused,
    PartnerUnreachable,
    PhoneNumber,
    Remedy,
    WechatBusy,
    WechatLoginCodeInvalid,
    WechatLoginCodeUsed,
    WechatMisconfigured,
    WechatPhoneCodeInvalid,
    WechatQuotaSpent,
    WechatRecipientNotFound,
    WechatRefused,
    WechatSessionKeyInvalid,
    WechatUserBlocked,
)
from backend.partners.wechat.sandbox import accounts
from backend.partners.wechat.sandbox.test_control import sealed_user_data

LOGIN = "/sns/jscode2session"
PHONE = "/wxa/business/getuserphonenumber"


async def test_a_login_code_identifies_its_owner(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")

    session = await partners.wechat.session_of(sandbox.world.mint("login", someone))

    assert (session.openid, session.unionid) == (someone.openid, someone.unionid)
    assert session.session_key == someone.session_key
    assert someone.session_key not in repr(session)


async def test_a_login_code_is_good_once(sandbox: Sandbox, partners: Partners):
    code = sandbox.world.mint("login", sandbox.world.persona("陈静"))
    await partners.wechat.session_of(code)

    with pytest.raises(WechatLoginCodeUsed):
        await partners.wechat.session_of(code)


async def test_a_login_code_is_good_for_five_minutes(sandbox: Sandbox, partners: Partners):
    old, fresh = (sandbox.world.mint("login", sandbox.world.persona("陈静")) for _ in range(2))
    sandbox.world.codes[old].made_at = sandbox.world.now()
    sandbox.world.advance(301)
    sandbox.world.codes[fresh].made_at = sandbox.world.now()

    with pytest.raises(WechatLoginCodeInvalid):
        await partners.wechat.session_of(old)
    assert await partners.wechat.session_of(fresh)


async def test_a_code_of_another_app_or_kind_is_invalid(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")
    foreign = sandbox.world.mint("login", someone)
    sandbox.world.codes[foreign].appid = "wxother"

    for code in (foreign, sandbox.world.mint("phone", someone), "made-up"):
        with pytest.raises(WechatLoginCodeInvalid):
            await partners.wechat.session_of(code)


async def test_a_user_of_high_risk_does_not_enter(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("老赖", blocked=True)

    with pytest.raises(WechatUserBlocked):
        await partners.wechat.session_of(sandbox.world.mint("login", someone))


async def test_a_user_who_signs_in_without_end_is_slowed_down(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("机器人")
    someone.logins = [sandbox.world.now()] * 100

    with pytest.raises(WechatBusy):
        await partners.wechat.session_of(sandbox.world.mint("login", someone))


@pytest.mark.parametrize(
    ("errcode", "kind", "remedy"),
    [
        (-1, WechatBusy, Remedy.RETRY),
        (40029, WechatLoginCodeInvalid, Remedy.GIVE_UP),
        (40163, WechatLoginCodeUsed, Remedy.GIVE_UP),
        (40226, WechatUserBlocked, Remedy.GIVE_UP),
        (45011, WechatBusy, Remedy.RETRY),
        (45009, WechatQuotaSpent, Remedy.TOMORROW),
        (40013, WechatMisconfigured, Remedy.CONFIGURE),
        (40125, WechatMisconfigured, Remedy.CONFIGURE),
        (40164, WechatMisconfigured, Remedy.CONFIGURE),
        (99999, WechatRefused, Remedy.GIVE_UP),
    ],
)
async def test_every_code_of_sign_in_has_its_meaning(
    sandbox: Sandbox, partners: Partners, errcode: int, kind: type[Any], remedy: Remedy
):
    sandbox.world.faults.add(LOGIN, "errcode", number=errcode)

    with pytest.raises(kind) as trouble:
        await partners.wechat.session_of("code")

    assert type(trouble.value) is kind
    assert trouble.value.partner_code == str(errcode)
    assert trouble.value.remedy is remedy
    assert trouble.value.retryable is not isinstance(trouble.value, PartnerRefused)


@pytest.mark.parametrize("mode", ["reset", "drop_reply", "html", "broken_json"])
async def test_a_sign_in_whose_answer_is_lost_is_not_repeated(sandbox: Sandbox, partners: Partners, mode: Any):
    sandbox.world.faults.add(LOGIN, mode)

    with pytest.raises(PartnerUnreachable):
        await partners.wechat.session_of(sandbox.world.mint("login", sandbox.world.persona("陈静")))

    assert sandbox.world.faults.struck == 1


async def test_a_success_without_a_session_is_not_accepted(sandbox: Sandbox, partners: Partners):
    sandbox.world.faults.add(LOGIN, "errcode", number=0)

    with pytest.raises(WechatBusy):
        await partners.wechat.session_of("code")


async def test_a_phone_code_gives_the_number_once(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静", phone="13912345678")
    code = sandbox.world.mint("phone", someone)

    assert await partners.wechat.phone_of(code, openid=someone.openid) == PhoneNumber("13912345678", "86")
    with pytest.raises(WechatPhoneCodeInvalid):
        await partners.wechat.phone_of(code)


async def test_a_phone_code_of_another_account_or_of_a_login_is_invalid(sandbox: Sandbox, partners: Partners):
    someone, other = sandbox.world.persona("陈静"), sandbox.world.persona("李雷")

    with pytest.raises(WechatPhoneCodeInvalid):
        await partners.wechat.phone_of(sandbox.world.mint("phone", someone), openid=other.openid)
    with pytest.raises(WechatPhoneCodeInvalid):
        await partners.wechat.phone_of(sandbox.world.mint("login", someone))


async def test_a_phone_number_with_a_foreign_watermark_is_refused(
    sandbox: Sandbox, partners: Partners, monkeypatch: pytest.MonkeyPatch
):
    theirs = {"purePhoneNumber": "13900000000", "countryCode": "86", "watermark": {"appid": "wxother"}}
    monkeypatch.setattr(accounts, "_phone_info", lambda *_: theirs)

    with pytest.raises(WechatPhoneCodeInvalid):
        await partners.wechat.phone_of(sandbox.world.mint("phone", sandbox.world.persona("陈静")))


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [(-1, WechatBusy), (40029, WechatPhoneCodeInvalid), (45011, WechatBusy), (40013, WechatMisconfigured)],
)
async def test_every_code_of_the_phone_call_has_its_meaning(
    sandbox: Sandbox, partners: Partners, errcode: int, kind: type[Any]
):
    sandbox.world.faults.add(PHONE, "errcode", number=errcode)

    with pytest.raises(kind):
        await partners.wechat.phone_of("code")


async def test_a_session_key_holds_until_the_next_login(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")
    sandbox.world.mint("login", someone)
    key = someone.session_key

    assert await partners.wechat.session_holds(someone.openid, key)
    sandbox.world.mint("login", someone)
    assert not await partners.wechat.session_holds(someone.openid, key)


async def test_a_session_key_can_be_replaced(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")
    sandbox.world.mint("login", someone)
    old = someone.session_key

    fresh = await partners.wechat.new_session_key(someone.openid, old)

    assert fresh == someone.session_key != old
    with pytest.raises(WechatSessionKeyInvalid):
        await partners.wechat.new_session_key(someone.openid, old)


async def test_what_the_phone_sealed_is_opened(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")
    sandbox.world.mint("login", someone)
    sealed = sealed_user_data(sandbox.world, someone, {"purePhoneNumber": someone.phone})

    told = partners.wechat.user_data(sealed["encryptedData"], sealed["iv"], session_key=someone.session_key)

    assert told["purePhoneNumber"] == someone.phone


async def test_only_of_a_follower_the_unionid_is_given(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")

    before = await partners.wechat.follower(someone.oa_openid)
    someone.follows = True
    after = await partners.wechat.follower(someone.oa_openid)

    assert (before.follows, before.unionid) == (False, None)
    assert (after.follows, after.unionid) == (True, someone.unionid)
    with pytest.raises(WechatRecipientNotFound):
        await partners.wechat.follower("oNobody")
