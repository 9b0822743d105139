"""A push and its fact are stored together; what is refused or fails leaves nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend import clock
from backend.callbacks import (
    PushReplayed,
    answer_address_check,
    consume_wechat_push,
    delete_old_pushes,
    receive_wechat,
    wechat,
)
from backend.crypto import SealBroken
from backend.database import execute, transaction
from backend.partners import Partners, partners_from
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.port import WechatPushSignatureInvalid
from backend.partners.wechat.sandbox.pushing import EventFault, written
from backend.partners.wechat.sandbox.world import App
from backend.settings import settings, using
from models.callbacks import InboundMessage
from models.events import EventRecord

EVENT = {"FromUserName": "oFollower", "CreateTime": 1714112445, "MsgType": "event", "Event": "debug_demo"}


def a_push(app: App, **more: Any) -> tuple[dict[str, str], bytes]:
    query, body, _ = written(app, {"ToUserName": app.original_id, **EVENT, **more}, EventFault())
    return query, body


async def test_a_push_is_new_once(sandbox: Sandbox, partners: Partners):
    app = sandbox.world.mini_program

    outcomes = [await receive_wechat(*a_push(app), wechat=partners.wechat) for _ in range(3)]

    assert outcomes == [True, False, False]


async def test_the_row_and_the_fact_live_or_die_together(
    sandbox: Sandbox, partners: Partners, monkeypatch: pytest.MonkeyPatch
):
    async def broken(event: Any) -> None:
        raise ConnectionError("the database went away")

    with monkeypatch.context() as patched:
        patched.setattr(wechat, "record", broken)
        with pytest.raises(ConnectionError):
            await receive_wechat(*a_push(sandbox.world.mini_program), wechat=partners.wechat)
    assert await InboundMessage.all().count() == 0

    assert await receive_wechat(*a_push(sandbox.world.mini_program), wechat=partners.wechat)
    assert await EventRecord.filter(name="wechat.pushed").count() == 1


async def test_a_signature_used_again_for_another_body_is_refused(sandbox: Sandbox, partners: Partners):
    """In plain mode the signature does not cover the body: a reader of one could put any body under it."""
    app = sandbox.world.mini_program
    app.push.mode = "plain"
    with using(wechat_push_mode="plain"):
        plain = partners_from(settings())
    query, body = a_push(app)
    await receive_wechat(query, body, wechat=plain.wechat)

    with pytest.raises(PushReplayed):
        await receive_wechat(query, body.replace(b"oFollower", b"oAnother"), wechat=plain.wechat)
    assert not await receive_wechat(query, body, wechat=plain.wechat)
    await plain.close()
    assert await InboundMessage.all().count() == 1


async def test_without_a_token_everything_is_refused(sandbox: Sandbox, partners: Partners):
    with using(wechat_push_token="", wechat_oa_push_token=""):
        without_token = partners_from(settings())
    query, body = a_push(sandbox.world.mini_program)

    with pytest.raises(WechatPushSignatureInvalid):
        await receive_wechat(query, body, wechat=without_token.wechat)
    with pytest.raises(WechatPushSignatureInvalid):
        answer_address_check({**query, "echostr": "1"}, wechat=without_token.wechat)
    await without_token.close()


async def test_consuming_is_undone_with_the_subscriber_that_failed(sandbox: Sandbox, partners: Partners):
    await receive_wechat(*a_push(sandbox.world.mini_program), wechat=partners.wechat)
    message = await InboundMessage.get()

    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await consume_wechat_push(message.id)
            raise ZeroDivisionError

    await message.refresh_from_db()
    assert message.state == "received"


async def test_a_push_can_be_consumed_again_and_keeps_its_first_time(sandbox: Sandbox, partners: Partners):
    await receive_wechat(*a_push(sandbox.world.mini_program), wechat=partners.wechat)
    message = await InboundMessage.get()
    first = await consume_wechat_push(message.id)
    await message.refresh_from_db()
    handled_at = message.handled_at

    with clock.travel(by=timedelta(minutes=5)):
        again = await consume_wechat_push(message.id)

    await message.refresh_from_db()
    assert first == again
    assert message.handled_at == handled_at


async def test_a_row_that_was_moved_does_not_open(sandbox: Sandbox, partners: Partners):
    app = sandbox.world.mini_program
    await receive_wechat(*a_push(app), wechat=partners.wechat)
    await receive_wechat(*a_push(app, FromUserName="oOther"), wechat=partners.wechat)
    one, two = await InboundMessage.all().order_by("id")
    await execute("UPDATE inbound_messages SET body = $2 WHERE id = $1", one.id, two.body)

    with pytest.raises(SealBroken):
        await consume_wechat_push(one.id)


async def test_pushes_are_deleted_after_their_days(sandbox: Sandbox, partners: Partners):
    await receive_wechat(*a_push(sandbox.world.mini_program), wechat=partners.wechat)
    message = await InboundMessage.get()

    with clock.travel(by=timedelta(days=29)):
        assert await delete_old_pushes() == 0
    with clock.travel(by=timedelta(days=31)):
        assert await delete_old_pushes() == 1
    assert await consume_wechat_push(message.id) is None
