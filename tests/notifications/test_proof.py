"""The proof of delivery in plain words: addressed to the resident, and to staff about the resident."""

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
from notifications.channels import prepared
from tests.factories.notifications import a_message, a_reachable_resident, consents

WIRE = ("timeout", "connect", "connect-timeout", "breaker-open", "tls", "broken-connection", "not-json", "too-large",
        "redirect", "429", "500", "502", "503", "504")  # fmt: skip
"""The codes of backend/partners/base.py when no usable answer came."""


@pytest.mark.parametrize("channel", [each for each in ChannelName if each is not ChannelName.INBOX])
def test_every_reason_why_a_channel_is_skipped_has_words(channel: ChannelName):
    skipped = (prepared.NOT_FOR_THIS, prepared.NO_CONSENT, prepared.NO_ADDRESS, prepared.SWITCHED_OFF)

    words = [proof.attempt_in_words(channel, Outcome.SKIPPED, each.code, "") for each in skipped]

    assert all(each.startswith("没有使用：") and each.isprintable() and "代码" not in each for each in words)
    assert len(set(words)) == 4


def test_each_channel_names_the_address_that_it_misses():
    words = {proof.attempt_in_words(each, Outcome.SKIPPED, "no-address", "") for each in channels.ORDER[:-1]}

    assert words == {"没有使用：没有您的微信账号", "没有使用：没有查到您关注了公众号", "没有使用：您没有验证过手机号"}


@pytest.mark.parametrize("code", WIRE)
def test_a_missing_answer_has_words_and_no_code(code: str):
    assert "代码" not in proof.attempt_in_words(ChannelName.SMS, Outcome.UNCERTAIN, code, "")


def test_a_code_without_words_is_shown_as_it_is():
    words = proof.attempt_in_words(ChannelName.SMS, Outcome.REFUSED, "isv.SOMETHING_NEW", "")

    assert words == "对方平台未接收，改用其他方式（代码 isv.SOMETHING_NEW）"
    assert proof.public("isv.SOMETHING_NEW") == "isv.SOMETHING_NEW"


def test_every_outcome_has_words_on_every_channel_and_staff_read_them_about_the_resident():
    for channel, outcome in product(ChannelName, (None, *Outcome)):
        words = proof.attempt_in_words(channel, outcome, "43101", "")
        assert words
        assert "您" not in proof.about_resident(words)
    assert proof.about_resident("您没有订阅这类消息") == "居民没有订阅这类消息"


@pytest.mark.parametrize(
    ("channel", "receipt", "words"),
    [
        (ChannelName.MINI_PROGRAM, "success", "对方平台已接收，微信确认已送达"),
        (ChannelName.OFFICIAL_ACCOUNT, "failed:user block", "对方平台已接收，您拒收了公众号消息"),
        (ChannelName.OFFICIAL_ACCOUNT, "failed:system failed", "对方平台已接收，微信报告没有送达，改用其他方式"),
        (ChannelName.SMS, "success", "对方平台已接收，短信平台确认手机已收到"),
        (ChannelName.SMS, "failed:MK:0001", "对方平台已接收，短信平台报告没有送达，请查看站内信"),
        (ChannelName.SMS, "", "对方平台已接收"),
    ],
)
def test_a_receipt_is_stated_in_the_words_of_its_channel(channel: ChannelName, receipt: str, words: str):
    assert proof.attempt_in_words(channel, Outcome.ACCEPTED, "0", receipt) == words


def test_every_state_and_every_channel_has_a_name():
    assert set(proof.STATES) == set(MessageState)
    assert set(proof.CHANNELS) == set(ChannelName)


async def test_an_internal_error_is_in_the_record_and_not_in_what_the_resident_reads(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    message = await a_message(resident)

    async def broken(self: object, message: object) -> None:
        raise ZeroDivisionError("division of /srv/zhangban/secret by zero")

    monkeypatch.setattr(LiveWeChat, "send_subscribe_message", broken)
    await delivering.deliver(resident.id)

    attempt = (await inbox.get_own_message(AsResident(resident.id, uuid4()), message)).attempts[0]
    assert (attempt.code, attempt.words) == ("our-mistake", "对方平台未接收，改用其他方式：本平台处理出错，我们会修复")
    assert await fetch_value("SELECT code FROM message_attempts WHERE n = 1") == "our-mistake:ZeroDivisionError"


async def test_the_times_of_the_attempts_never_go_back(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world, phone=True)
    await a_message(resident, "case_approved")
    await delivering.deliver(resident.id)

    rows = await fetch("SELECT started_at, finished_at FROM message_attempts ORDER BY n")
    times = [each for row in rows for each in row]

    assert len(rows) == 3
    assert times == sorted(times)


@pytest.mark.parametrize("state", list(MessageState))
async def test_the_channel_is_named_once_it_has_carried_the_message(sandbox: Sandbox, state: MessageState):
    resident, _ = await a_reachable_resident(sandbox.world)
    message = await a_message(resident)
    channel = ChannelName.INBOX if state is MessageState.INBOX else ChannelName.SMS
    await execute(
        "UPDATE messages SET state = $2, waiting = $3, finished_at = now(), channel = $4 WHERE id = $1",
        message, str(state), state in (MessageState.PENDING, MessageState.LEASED), str(channel),
    )  # fmt: skip

    shown = await inbox.get_own_message(AsResident(resident.id, uuid4()), message)

    ended = state in (MessageState.SENT, MessageState.INBOX)
    assert (shown.channel, shown.fell_back) == ((channel, True) if ended else (None, False))
    assert shown.words == ("已发出（短信）" if state is MessageState.SENT else proof.STATES[state])
