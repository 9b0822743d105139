"""The proof of a message speaks plainly: to the resident, and about the resident to the office."""

from __future__ import annotations

from itertools import product
from uuid import uuid4

import pytest

from backend.database import execute, fetch, fetch_value
from backend.identity import AsResident
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.live import LiveWeChat
from models.notifications import ChannelName, MessageState, Outcome
from notifications import channels, delivering, inbox, proof
from notifications.channels import letters
from tests.factories.notifications import a_message, a_reachable_resident, consents

WIRE = ("timeout", "connect", "connect-timeout", "breaker-open", "tls", "broken-connection", "not-json", "too-large",
        "redirect", "429", "500", "502", "503", "504")  # fmt: skip
"""What backend/partners/base.py calls it when no usable answer came."""


@pytest.mark.parametrize("channel", [each for each in ChannelName if each is not ChannelName.INBOX])
def test_every_reason_of_our_own_why_a_way_is_not_tried_is_said_in_words(channel: ChannelName):
    skipped = (letters.NOT_FOR_THIS, letters.NO_CONSENT, letters.NO_ADDRESS, letters.SWITCHED_OFF)

    said = [proof.in_words(channel, Outcome.SKIPPED, each.code, "") for each in skipped]

    assert all(each.startswith("没有使用：") and each.isprintable() and "代码" not in each for each in said)
    assert len(set(said)) == 4


def test_each_way_names_the_address_that_it_misses():
    said = {proof.in_words(each, Outcome.SKIPPED, "no-address", "") for each in channels.ORDER[:-1]}

    assert said == {"没有使用：没有您的微信账号", "没有使用：没有查到您关注了公众号", "没有使用：您没有验证过手机号"}


@pytest.mark.parametrize("code", WIRE)
def test_no_answer_is_said_in_words_and_not_in_ours(code: str):
    assert "代码" not in proof.in_words(ChannelName.SMS, Outcome.UNCERTAIN, code, "")


def test_a_code_that_nobody_has_put_into_words_is_shown_as_it_is():
    said = proof.in_words(ChannelName.SMS, Outcome.REFUSED, "isv.SOMETHING_NEW", "")

    assert said == "对方平台未接收，改用其他方式（代码 isv.SOMETHING_NEW）"
    assert proof.public("isv.SOMETHING_NEW") == "isv.SOMETHING_NEW"


def test_every_outcome_has_words_on_every_way_and_the_office_reads_them_about_somebody_else():
    for channel, outcome in product(ChannelName, (None, *Outcome)):
        said = proof.in_words(channel, outcome, "43101", "")
        assert said
        assert "您" not in proof.of_somebody(said)
    assert proof.of_somebody("您没有订阅这类消息") == "居民没有订阅这类消息"


@pytest.mark.parametrize(
    ("channel", "receipt", "said"),
    [
        (ChannelName.MINI_PROGRAM, "success", "对方平台已接收，微信确认已送达"),
        (ChannelName.OFFICIAL_ACCOUNT, "failed:user block", "对方平台已接收，您拒收了公众号消息"),
        (ChannelName.OFFICIAL_ACCOUNT, "failed:system failed", "对方平台已接收，微信报告没有送达，改用其他方式"),
        (ChannelName.SMS, "success", "对方平台已接收，短信平台确认手机已收到"),
        (ChannelName.SMS, "failed:MK:0001", "对方平台已接收，短信平台报告没有送达，请查看站内信"),
        (ChannelName.SMS, "", "对方平台已接收"),
    ],
)
def test_a_receipt_is_told_in_the_words_of_its_way(channel: ChannelName, receipt: str, said: str):
    assert proof.in_words(channel, Outcome.ACCEPTED, "0", receipt) == said


def test_every_state_and_every_way_has_a_name():
    assert set(proof.STATES) == set(MessageState)
    assert set(proof.WAYS) == set(ChannelName)


async def test_what_broke_inside_of_us_is_in_the_record_and_not_in_what_the_resident_reads(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    message = await a_message(resident)

    async def broken(self: object, message: object) -> None:
        raise ZeroDivisionError("division of /srv/zhangban/secret by zero")

    monkeypatch.setattr(LiveWeChat, "send_subscribe_message", broken)
    await delivering.bring(resident.id)

    tried = (await inbox.shown(AsResident(resident.id, uuid4()), message)).attempts[0]
    assert (tried.code, tried.words) == ("our-mistake", "对方平台未接收，改用其他方式：本平台处理出错，我们会修复")
    assert await fetch_value("SELECT code FROM message_attempts WHERE n = 1") == "our-mistake:ZeroDivisionError"


async def test_the_times_of_the_attempts_never_go_back(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world, phone=True)
    await a_message(resident, "case_approved")
    await delivering.bring(resident.id)

    rows = await fetch("SELECT started_at, finished_at FROM message_attempts ORDER BY n")
    times = [each for row in rows for each in row]

    assert len(rows) == 3
    assert times == sorted(times)


@pytest.mark.parametrize("state", list(MessageState))
async def test_the_way_is_named_when_it_has_carried_the_message_and_not_before(sandbox: Sandbox, state: MessageState):
    resident, _ = await a_reachable_resident(sandbox.world)
    message = await a_message(resident)
    way = ChannelName.INBOX if state is MessageState.INBOX else ChannelName.SMS
    await execute(
        "UPDATE messages SET state = $2, waiting = $3, finished_at = now(), channel = $4 WHERE id = $1",
        message, str(state), state in (MessageState.PENDING, MessageState.LEASED), str(way),
    )  # fmt: skip

    shown = await inbox.shown(AsResident(resident.id, uuid4()), message)

    ended = state in (MessageState.SENT, MessageState.INBOX)
    assert (shown.channel, shown.fell_back) == ((way, True) if ended else (None, False))
    assert shown.words == ("已发出（短信）" if state is MessageState.SENT else proof.STATES[state])
