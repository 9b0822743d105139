"""Subscribe and template messages against the sandbox: quotas, limits, every refusal and what helps."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from backend.partners import Partners, partners_from
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.port import (
    PartnerUnreachable,
    Remedy,
    SubscribeMessage,
    TemplateMessage,
    WechatBusy,
    WechatConcurrentSend,
    WechatMisconfigured,
    WechatNotFollowing,
    WechatNotSubscribed,
    WechatPageNotFound,
    WechatQuotaSpent,
    WechatRecipientNotFound,
    WechatRefused,
    WechatTemplateBanned,
    WechatTemplateNotFound,
    WechatValueRefused,
    WechatWordRefused,
)
from backend.partners.wechat.sandbox.messages import popup, withdraw
from backend.partners.wechat.sandbox.world import Persona, Template
from backend.settings import settings

SUBSCRIBE, TEMPLATE = "/cgi-bin/message/subscribe/send", "/cgi-bin/message/template/send"
DATA = {"thing1": "居住证签注", "phrase2": "已受理", "date3": "2026年1月2日"}


@pytest.fixture
def resident(sandbox: Sandbox) -> Persona:
    """A resident who allowed one message and follows the official account."""
    sandbox.world.mini_program.templates["T1"] = Template("T1", "办件进度通知", tuple(DATA))
    sandbox.world.official_account.templates["O1"] = Template("O1", "办件进度通知", tuple(DATA))
    someone = sandbox.world.persona("陈静", follows=True)
    popup(sandbox.world, sandbox.pusher, someone, {"T1": "accept"})
    return someone


def subscribe(someone: Persona, **changes: Any) -> SubscribeMessage:
    return SubscribeMessage(**{"openid": someone.openid, "template_id": "T1", "data": DATA, **changes})


def template(someone: Persona, **changes: Any) -> TemplateMessage:
    given = {"openid": someone.oa_openid, "template_id": "O1", "data": DATA, "reference": "message-1", **changes}
    return TemplateMessage(**given)


async def test_an_accepted_popup_is_good_for_one_message(sandbox: Sandbox, partners: Partners, resident: Persona):
    sent = await partners.wechat.send_subscribe_message(subscribe(resident, page="/pages/case?id=1"))

    (arrived,) = sandbox.world.delivered
    assert arrived.message_id == sent.message_id
    assert (arrived.persona, arrived.title, arrived.data) == ("陈静", "办件进度通知", DATA)
    assert arrived.details == {"page": "pages/case?id=1", "miniprogram_state": "formal", "lang": "zh_CN"}
    with pytest.raises(WechatNotSubscribed) as trouble:
        await partners.wechat.send_subscribe_message(subscribe(resident))
    assert trouble.value.remedy is Remedy.GIVE_UP


async def test_a_rejected_popup_is_good_for_none(sandbox: Sandbox, partners: Partners):
    sandbox.world.mini_program.templates["T1"] = Template("T1", "办件进度通知")
    someone = sandbox.world.persona("陈静")
    popup(sandbox.world, sandbox.pusher, someone, {"T1": "reject"})

    with pytest.raises(WechatNotSubscribed):
        await partners.wechat.send_subscribe_message(subscribe(someone))


async def test_a_long_term_consent_lasts_until_it_is_withdrawn(sandbox: Sandbox, partners: Partners, resident: Persona):
    sandbox.world.mini_program.templates["L"] = Template("L", "账号安全提醒", ("thing1",), "long_term")
    popup(sandbox.world, sandbox.pusher, resident, {"L": "accept"})
    message = subscribe(resident, template_id="L", data={"thing1": "新设备登录"})

    for _ in range(3):
        await partners.wechat.send_subscribe_message(message)
    withdraw(sandbox.world, sandbox.pusher, resident, ["L"])

    with pytest.raises(WechatNotSubscribed):
        await partners.wechat.send_subscribe_message(message)
    assert len(sandbox.world.delivered) == 3


async def test_the_build_and_language_are_sent(sandbox: Sandbox, resident: Persona):
    values = replace(settings(), wechat_miniprogram_state="trial")
    bundle = partners_from(values)
    resident.quota["T1"] = 2

    await bundle.wechat.send_subscribe_message(subscribe(resident, lang="zh_TW"))
    await bundle.wechat.send_subscribe_message(subscribe(resident, state="developer"))

    await bundle.close()
    told = [each.details["miniprogram_state"] for each in sandbox.world.delivered]
    assert told == ["trial", "developer"]
    assert sandbox.world.delivered[0].details["lang"] == "zh_TW"


async def test_two_messages_to_one_person_at_once_collide(sandbox: Sandbox, partners: Partners, resident: Persona):
    sandbox.world.send_seconds = 0.1
    resident.quota["T1"] = 2
    outcomes = await asyncio.gather(
        *(partners.wechat.send_subscribe_message(subscribe(resident)) for _ in range(2)), return_exceptions=True
    )

    (collision,) = [each for each in outcomes if isinstance(each, WechatConcurrentSend)]
    assert collision.remedy is Remedy.SERIALISE
    assert len(sandbox.world.delivered) == 1


async def test_a_value_that_breaks_its_limit_is_never_sent(sandbox: Sandbox, partners: Partners, resident: Persona):
    with pytest.raises(WechatValueRefused) as trouble:
        await partners.wechat.send_subscribe_message(subscribe(resident, data={**DATA, "thing1": "好" * 21}))

    assert trouble.value.field == "thing1"
    assert trouble.value.partner_code == "not-sent"
    assert sandbox.world.mini_program.tokens.asks == 0


async def test_a_missing_value_is_refused_by_name(sandbox: Sandbox, partners: Partners, resident: Persona):
    with pytest.raises(WechatValueRefused) as trouble:
        await partners.wechat.send_subscribe_message(subscribe(resident, data={"thing1": "好", "phrase2": "好"}))

    assert (trouble.value.partner_code, trouble.value.field) == ("47003", "date3")


async def test_a_value_outside_the_choices_is_refused_by_wechat(
    sandbox: Sandbox, partners: Partners, resident: Persona
):
    sandbox.world.mini_program.templates["T1"] = Template("T1", "结果", ("enum1",), choices={"enum1": ("同意",)})

    with pytest.raises(WechatValueRefused) as trouble:
        await partners.wechat.send_subscribe_message(subscribe(resident, data={"enum1": "不同意"}))
    assert trouble.value.field == "enum1"


async def test_refusals_of_a_subscribe_message_have_their_names(
    sandbox: Sandbox, partners: Partners, resident: Persona
):
    async def refusal(**changes: Any) -> type[BaseException]:
        with pytest.raises(WechatRefused) as trouble:
            await partners.wechat.send_subscribe_message(subscribe(resident, **changes))
        return type(trouble.value)

    sandbox.world.pages = {"pages/case"}
    sandbox.world.mini_program.templates["B"] = Template("B", "停用", banned=True)
    assert await refusal(openid="oNobody") is WechatRecipientNotFound
    assert await refusal(openid=resident.oa_openid) is WechatRecipientNotFound
    assert await refusal(template_id="T404") is WechatTemplateNotFound
    assert await refusal(template_id="B") is WechatTemplateBanned
    assert await refusal(page="pages/missing?x=1") is WechatPageNotFound
    assert await refusal(data={**DATA, "thing1": "含违禁词"}) is WechatWordRefused
    assert resident.quota["T1"] == 1
    assert not sandbox.world.delivered


async def test_the_daily_quota_is_spent_until_tomorrow(sandbox: Sandbox, partners: Partners, resident: Persona):
    sandbox.world.mini_program.daily_quota = 1
    resident.quota["T1"] = 3
    await partners.wechat.send_subscribe_message(subscribe(resident))

    with pytest.raises(WechatQuotaSpent) as trouble:
        await partners.wechat.send_subscribe_message(subscribe(resident))

    assert trouble.value.remedy is Remedy.TOMORROW
    sandbox.world.advance(86_400)
    await partners.wechat.send_subscribe_message(subscribe(resident))


@pytest.mark.parametrize(
    ("errcode", "kind", "remedy"),
    [
        (-1, WechatBusy, Remedy.RETRY),
        (40003, WechatRecipientNotFound, Remedy.GIVE_UP),
        (40037, WechatTemplateNotFound, Remedy.CONFIGURE),
        (41030, WechatPageNotFound, Remedy.CONFIGURE),
        (43101, WechatNotSubscribed, Remedy.GIVE_UP),
        (43107, WechatTemplateBanned, Remedy.CONFIGURE),
        (43108, WechatConcurrentSend, Remedy.SERIALISE),
        (45009, WechatQuotaSpent, Remedy.TOMORROW),
        (45011, WechatBusy, Remedy.RETRY),
        (45168, WechatWordRefused, Remedy.GIVE_UP),
        (47003, WechatValueRefused, Remedy.GIVE_UP),
        (48001, WechatMisconfigured, Remedy.CONFIGURE),
    ],
)
async def test_every_code_of_a_subscribe_send_says_what_helps(
    sandbox: Sandbox, partners: Partners, resident: Persona, errcode: int, kind: type[Any], remedy: Remedy
):
    sandbox.world.faults.add(SUBSCRIBE, "errcode", number=errcode)

    with pytest.raises(kind) as trouble:
        await partners.wechat.send_subscribe_message(subscribe(resident))

    assert type(trouble.value) is kind
    assert trouble.value.remedy is remedy


@pytest.mark.parametrize("mode", ["reset", "drop_reply", "status", "html", "broken_json"])
async def test_a_subscribe_message_whose_answer_is_lost_is_left_to_the_queue(
    sandbox: Sandbox, partners: Partners, resident: Persona, mode: Any
):
    sandbox.world.faults.add(SUBSCRIBE, mode)

    with pytest.raises(PartnerUnreachable) as trouble:
        await partners.wechat.send_subscribe_message(subscribe(resident))

    assert trouble.value.maybe_done
    assert sandbox.world.faults.struck == 1
    assert len(sandbox.world.delivered) == (1 if mode == "drop_reply" else 0)


async def test_a_follower_gets_a_template_message(sandbox: Sandbox, partners: Partners, resident: Persona):
    sent = await partners.wechat.send_template_message(
        template(resident, page="/pages/case?id=1", url="https://example.gov.cn/case")
    )

    (arrived,) = sandbox.world.delivered
    assert (arrived.channel, arrived.message_id, arrived.data) == ("template", sent.message_id, DATA)
    program = {"appid": sandbox.world.mini_program.appid, "pagepath": "pages/case?id=1"}
    assert arrived.details["miniprogram"] == program
    assert arrived.details["url"] == "https://example.gov.cn/case"


async def test_a_template_message_with_the_same_reference_arrives_once(
    sandbox: Sandbox, partners: Partners, resident: Persona
):
    first = await partners.wechat.send_template_message(template(resident))
    again = await partners.wechat.send_template_message(template(resident))
    sandbox.world.advance(601)
    later = await partners.wechat.send_template_message(template(resident))

    assert first == again != later
    assert len(sandbox.world.delivered) == 2


async def test_a_template_message_whose_answer_is_lost_is_repeated_and_arrives_once(
    sandbox: Sandbox, partners: Partners, resident: Persona
):
    sandbox.world.faults.add(TEMPLATE, "drop_reply", times=1)

    await partners.wechat.send_template_message(template(resident))

    assert len(sandbox.world.delivered) == 1


async def test_refusals_of_a_template_message_have_their_names(sandbox: Sandbox, partners: Partners, resident: Persona):
    async def refusal(**changes: Any) -> type[BaseException]:
        with pytest.raises(WechatRefused) as trouble:
            await partners.wechat.send_template_message(template(resident, **changes))
        return type(trouble.value)

    assert await refusal(openid=resident.openid) is WechatRecipientNotFound
    assert await refusal(template_id="O404") is WechatTemplateNotFound
    assert await refusal(data={"thing1": "好" * 21}) is WechatValueRefused
    resident.follows = False
    assert await refusal() is WechatNotFollowing
    with pytest.raises(ValueError):
        await partners.wechat.send_template_message(template(resident, reference="x" * 33))


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [
        (-1, WechatBusy),
        (43004, WechatNotFollowing),
        (50005, WechatNotFollowing),
        (45009, WechatQuotaSpent),
        (48001, WechatMisconfigured),
        (48002, WechatMisconfigured),
    ],
)
async def test_every_code_of_a_template_send_has_its_meaning(
    sandbox: Sandbox, partners: Partners, resident: Persona, errcode: int, kind: type[Any]
):
    sandbox.world.faults.add(TEMPLATE, "errcode", number=errcode)

    with pytest.raises(kind):
        await partners.wechat.send_template_message(template(resident))


async def test_the_templates_of_the_mini_program_are_listed(sandbox: Sandbox, partners: Partners, resident: Persona):
    choices = {"enum4": ("同意", "不同意")}
    sandbox.world.mini_program.templates["L"] = Template("L", "结果", ("thing1", "enum4"), "long_term", choices)

    listed = {each.template_id: each for each in await partners.wechat.templates()}

    assert set(listed) == {"T1", "L"}
    assert listed["T1"].kind == "once"
    assert listed["T1"].keys == tuple(DATA)
    assert (listed["L"].kind, dict(listed["L"].choices)) == ("long_term", choices)
