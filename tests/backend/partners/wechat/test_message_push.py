"""Pushes are read in every mode and writing, and refused when anything about them is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from wechatpy.crypto import WeChatCrypto

from backend import clock
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.errors import WechatPushExpired, WechatPushInvalid, WechatPushSignatureInvalid
from backend.partners.wechat.live import push_accounts
from backend.partners.wechat.message_push import PushAccount, PushReader
from backend.partners.wechat.port import Push
from backend.partners.wechat.sandbox.pushing import EventFault, as_json_text, as_xml_text, written
from backend.partners.wechat.sandbox.world import App
from backend.settings import settings

OFFICIAL: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/wechat_message_push.json").read_text())
POPUP = {
    "ToUserName": "gh_1",
    "FromUserName": "oUser",
    "CreateTime": 1620963428,
    "MsgType": "event",
    "Event": "subscribe_msg_popup_event",
    "List": [{"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "0"}],
}
TWO = [*POPUP["List"], {"TemplateId": "T2", "SubscribeStatusString": "reject", "PopupScene": "0"}]  # type: ignore[misc]
Mode = Literal["plain", "compat", "safe"]
Writing = Literal["json", "xml"]


def official_reader(mode: Mode = "safe") -> PushReader:
    config = OFFICIAL["config"]
    account = PushAccount(
        account="mini_program",
        appid=config["appid"],
        token=config["token"],
        aes_key=config["encoding_aes_key"],
        mode=mode,
    )
    return PushReader([account])


def at(timestamp: str) -> datetime:
    return datetime.fromtimestamp(int(timestamp), UTC)


def read(app: App, fields: dict[str, Any], fault: EventFault | None = None) -> Push:
    """What our reader makes of a push of the sandbox in the mode of the account."""
    values = settings()
    accounts = [
        PushAccount(account=a.account, appid=a.appid, token=a.token, aes_key=a.aes_key, mode=app.push.mode)
        for a in push_accounts(values)
    ]
    query, body, _ = written(app, fields, fault or EventFault())
    return PushReader(accounts).open(query, body)


def test_the_published_push_is_read():
    push = OFFICIAL["safe_mode_incoming"]
    with clock.travel(to=at(push["query"]["timestamp"])):
        read = official_reader().open(push["query"], json.dumps(push["body"]).encode())

    assert read.event == "debug_demo"
    assert read.openid == "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"
    assert read.content["debug_str"] == "hello world"
    assert read.encrypted


def test_the_published_address_check_is_answered_with_its_echostr():
    check = OFFICIAL["url_verify"]
    query = {name: check[name] for name in ("signature", "timestamp", "nonce", "echostr")}

    with clock.travel(to=at(check["timestamp"])):
        assert official_reader().echo(query) == check["expected_reply_body"]


def test_the_published_plain_push_is_read_only_where_plain_is_agreed():
    plain = OFFICIAL["plain_mode"]
    body = as_json_text({**POPUP, "Event": "debug_demo"}).encode()
    with clock.travel(to=at(plain["timestamp"])):
        assert official_reader("plain").open(plain, body).event == "debug_demo"
        for mode in ("compat", "safe"):
            with pytest.raises(WechatPushSignatureInvalid):
                official_reader(mode).open(plain, body)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["plain", "compat", "safe"])
@pytest.mark.parametrize("writing", ["json", "xml"])
@pytest.mark.parametrize("entries", [POPUP["List"], TWO])
def test_every_mode_and_writing_gives_the_same_push(sandbox: Sandbox, mode: Mode, writing: Writing, entries: Any):
    app = sandbox.world.mini_program
    app.push.mode, app.push.written = mode, writing

    push = read(app, {**POPUP, "List": entries})

    assert push.account == "mini_program"
    assert push.openid == "oUser"
    assert push.created_at == 1620963428
    assert (push.kind, push.event) == ("event", "subscribe_msg_popup_event")
    assert push.content["List"] == entries
    assert push.encrypted is (mode != "plain")


def test_a_list_of_one_comes_as_a_bare_object_and_numbers_as_text():
    told = json.loads(as_json_text(POPUP))

    assert told["List"] == POPUP["List"][0]  # type: ignore[index]
    assert told["CreateTime"] == "1620963428"


def test_in_xml_the_list_stands_inside_an_element_named_after_the_event():
    text = as_xml_text({**POPUP, "List": TWO})

    assert text.count("<List>") == 2
    assert "<SubscribeMsgPopupEvent><List>" in text


def test_the_account_is_the_one_whose_token_fits(sandbox: Sandbox):
    fields = {**POPUP, "Event": "TEMPLATESENDJOBFINISH", "MsgID": 200163836, "Status": "failed: system failed"}
    fields.pop("List")

    push = read(sandbox.world.official_account, fields)

    assert push.account == "official_account"
    assert push.content["MsgID"] == "200163836"
    assert push.content["Status"] == "failed: system failed"


def test_accounts_that_share_token_and_key_are_distinguished_by_the_appid_inside(sandbox: Sandbox):
    app = sandbox.world.mini_program
    same = {"token": app.push.token, "aes_key": app.push.aes_key, "mode": "safe"}
    first = PushAccount(account="official_account", appid="wxother", **same)  # type: ignore[arg-type]
    second = PushAccount(account="mini_program", appid=app.appid, **same)  # type: ignore[arg-type]
    query, body, _ = written(app, POPUP, EventFault())

    for accounts in ([first, second], [second, first]):
        assert PushReader(accounts).open(query, body).account == "mini_program"


def test_a_push_for_another_appid_is_forged(sandbox: Sandbox):
    with pytest.raises(WechatPushSignatureInvalid):
        read(sandbox.world.mini_program, POPUP, EventFault(wrong_appid=True))


@pytest.mark.parametrize("mode", ["plain", "compat", "safe"])
def test_a_push_with_a_wrong_signature_is_forged(sandbox: Sandbox, mode: Mode):
    sandbox.world.mini_program.push.mode = mode

    with pytest.raises(WechatPushSignatureInvalid):
        read(sandbox.world.mini_program, POPUP, EventFault(bad_signature=True))


def test_the_signature_of_the_query_alone_is_not_enough_in_safe_mode(sandbox: Sandbox):
    query, body, _ = written(sandbox.world.mini_program, POPUP, EventFault())
    query["msg_signature"] = query["signature"]

    with pytest.raises(WechatPushSignatureInvalid):
        PushReader(push_accounts(settings())).open(query, body)


def test_in_compat_mode_only_what_was_encrypted_is_accepted(sandbox: Sandbox):
    sandbox.world.mini_program.push.mode = "compat"
    query, body, _ = written(sandbox.world.mini_program, POPUP, EventFault())
    tampered = json.dumps({**json.loads(body), "FromUserName": "oSomebodyElse"}).encode()

    assert PushReader(push_accounts(settings())).open(query, tampered).openid == "oUser"


@pytest.mark.parametrize("seconds", [301, 3600, -301])
def test_a_push_of_another_time_is_stale(sandbox: Sandbox, seconds: int):
    with pytest.raises(WechatPushExpired):
        read(sandbox.world.mini_program, POPUP, EventFault(stale_seconds=seconds))


def test_a_push_a_little_late_is_taken(sandbox: Sandbox):
    assert read(sandbox.world.mini_program, POPUP, EventFault(stale_seconds=200)).openid == "oUser"


def test_repeats_have_one_identity_and_other_content_another(sandbox: Sandbox):
    app = sandbox.world.mini_program
    first, again = read(app, POPUP), read(app, POPUP)
    app.push.written = "xml"
    in_xml = read(app, POPUP)
    other_list = read(app, {**POPUP, "List": TWO})
    other_event = read(app, {**POPUP, "Event": "subscribe_msg_change_event"})

    assert first.identity == again.identity == in_xml.identity
    assert len({first.identity, other_list.identity, other_event.identity}) == 3
    assert first.nonce != again.nonce


def test_ordinary_messages_are_the_same_by_their_msg_id(sandbox: Sandbox):
    text = {k: v for k, v in POPUP.items() if k not in ("Event", "List")}
    message = {**text, "MsgType": "text", "Content": "你好", "MsgId": 1234567890123456}

    first = read(sandbox.world.mini_program, message)
    again = read(sandbox.world.mini_program, {**message, "CreateTime": 1620963429})

    assert first.identity == again.identity
    assert first.kind == "text"


def test_a_reply_is_encrypted_as_wechat_reads_it(sandbox: Sandbox):
    app = sandbox.world.mini_program
    app.push.written = "xml"
    push = read(app, POPUP)

    reply = PushReader(push_accounts(settings())).seal_reply(push, "<xml><Content>好</Content></xml>")

    theirs = WeChatCrypto(app.push.token, app.push.aes_key, app.appid)
    parts = {name: reply.decode().partition(f"<{name}>")[2].partition(f"</{name}>")[0] for name in ("TimeStamp",)}
    text = reply.decode()
    nonce = text.partition("<Nonce><![CDATA[")[2].partition("]]>")[0]
    signature = text.partition("<MsgSignature><![CDATA[")[2].partition("]]>")[0]
    assert theirs.decrypt_message(text, signature, parts["TimeStamp"], nonce) == "<xml><Content>好</Content></xml>"


def test_a_reply_to_a_plain_push_is_plain(sandbox: Sandbox):
    sandbox.world.mini_program.push.mode = "plain"
    push = read(sandbox.world.mini_program, POPUP)

    assert PushReader(push_accounts(settings())).seal_reply(push, "hello") == b"hello"


@pytest.mark.parametrize("missing", ["timestamp", "nonce", "msg_signature"])
def test_a_query_without_its_parts_is_malformed(sandbox: Sandbox, missing: str):
    query, body, _ = written(sandbox.world.mini_program, POPUP, EventFault())
    del query[missing]

    with pytest.raises(WechatPushInvalid):
        PushReader(push_accounts(settings())).open(query, body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FromUserName", None),
        ("FromUserName", ["a", "b"]),
        ("CreateTime", "yesterday"),
        ("CreateTime", "-1"),
        ("CreateTime", "9" * 20),
        ("MsgType", {"a": "b"}),
        ("Event", ["x", "y"]),
        ("ToUserName", "x" * 1000),
    ],
)
def test_a_signed_push_with_unusable_fields_is_malformed(sandbox: Sandbox, name: str, value: Any):
    with pytest.raises(WechatPushInvalid):
        read(sandbox.world.mini_program, {**{k: v for k, v in POPUP.items() if k != "List"}, name: value})


def test_without_accounts_nothing_is_accepted():
    query = {"signature": "x", "timestamp": str(clock.timestamp()), "nonce": "1", "echostr": "e"}

    with pytest.raises(WechatPushSignatureInvalid):
        PushReader([]).echo(query)


def test_the_window_counts_from_our_clock(sandbox: Sandbox):
    query, body, _ = written(sandbox.world.mini_program, POPUP, EventFault())

    with clock.travel(by=timedelta(minutes=6)), pytest.raises(WechatPushExpired):
        PushReader(push_accounts(settings())).open(query, body)
