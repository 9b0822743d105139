"""The trace component of a paid order, and what an event says of a parcel's path."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.partners import Partners
from backend.partners.courier.port import CourierPushInvalid, Track
from backend.partners.courier.tables import load
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.body_reader import read_body
from backend.partners.wechat.errors import WechatPushInvalid
from backend.partners.wechat.logistics import parcel_path
from backend.partners.wechat.port import Goods, Push, TracedWaybill, WechatBusy, WechatRecipientNotFound, WechatRefused
from backend.partners.wechat.sandbox import parcels
from tests.backend.partners.wechat.test_message_push import read

OFFICIAL_XML = """<xml>
  <ToUserName><![CDATA[toUser]]></ToUserName>
  <FromUserName><![CDATA[fromUser]]></FromUserName>
  <CreateTime>1546924844</CreateTime>
  <MsgType><![CDATA[event]]></MsgType>
  <Event><![CDATA[add_express_path]]></Event>
  <DeliveryID><![CDATA[SF]]></DeliveryID>
  <WayBillId><![CDATA[123456789]]></WayBillId>
  <Version>3</Version>
  <Count>2</Count>
  <Actions>
    <ActionTime>1546924840</ActionTime>
    <ActionType>100001</ActionType>
    <ActionMsg><![CDATA[揽件成功]]></ActionMsg>
  </Actions>
  <Actions>
    <ActionTime>1546924841</ActionTime>
    <ActionType>200001</ActionType>
    <ActionMsg><![CDATA[到达集散中心]]></ActionMsg>
  </Actions>
  <OrderId><![CDATA[4200000001]]></OrderId>
</xml>""".encode()


def a_push(content: dict[str, Any], event: str = "add_express_path") -> Push:
    return Push(
        account="mini_program",
        identity="1",
        to_user="gh_1",
        openid="o1",
        created_at=1546924844,
        kind="event",
        event=event,
        content=content,
        nonce="n",
        encrypted=True,
    )


def path(content: dict[str, Any], event: str = "add_express_path") -> Track:
    return parcel_path(a_push(content, event), load("wechat"))


def a_parcel(openid: str, **changes: Any) -> TracedWaybill:
    given: dict[str, Any] = {
        "openid": openid,
        "waybill": "SF0000000000001",
        "company": "shunfeng",
        "receiver_phone": "13800000001",
        "transaction": "4200000001",
        "goods": (Goods("居住证", "https://zhangban.example/card.png"),),
        "page": "pages/parcel?id=1",
    }
    return TracedWaybill(**{**given, **changes})


# -- the component ---------------------------------------------------------------------------------


async def test_a_paid_parcel_gets_a_token_and_can_be_asked_about(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("王小明")

    token = await partners.wechat.trace_waybill(a_parcel(someone.openid))
    before = await partners.wechat.query_trace(someone.openid, token)
    sandbox.world.parcels[token].status = 4
    after = await partners.wechat.query_trace(someone.openid, token)
    sandbox.world.parcels[token].status = 77
    unheard = await partners.wechat.query_trace(someone.openid, token)

    assert (before, after, unheard) == ("created", "delivered", "other")
    known, sent = sandbox.world.parcels[token], a_parcel(someone.openid)
    assert (known.openid, known.waybill, known.delivery) == (someone.openid, sent.waybill, "SF")
    assert known.transaction == sent.transaction


async def test_without_a_paid_order_there_is_no_component(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("王小明")
    sandbox.world.paid = {"4200000002"}

    with pytest.raises(WechatRefused) as refused:
        await partners.wechat.trace_waybill(a_parcel(someone.openid))
    with pytest.raises(WechatRefused) as unsent:
        await partners.wechat.trace_waybill(a_parcel(someone.openid, transaction=""))

    assert (refused.value.partner_code, unsent.value.partner_code) == ("9300559", "not-sent")


@pytest.mark.parametrize("count", [0, 11])
async def test_a_parcel_with_nothing_or_too_much_in_it_is_not_sent(sandbox: Sandbox, partners: Partners, count: int):
    with pytest.raises(WechatRefused):
        await partners.wechat.trace_waybill(a_parcel("o1", goods=(Goods("证", "https://x.example/1"),) * count))

    assert sandbox.world.mini_program.tokens.asks == 0


async def test_another_residents_token_and_an_unknown_openid_are_refused(sandbox: Sandbox, partners: Partners):
    one, other = sandbox.world.persona("甲"), sandbox.world.persona("乙")
    token = await partners.wechat.trace_waybill(a_parcel(one.openid))

    with pytest.raises(WechatRefused):
        await partners.wechat.query_trace(other.openid, token)
    with pytest.raises(WechatRecipientNotFound):
        await partners.wechat.trace_waybill(a_parcel("nobody"))


@pytest.mark.parametrize("call", ["trace_waybill", "query_trace"])
async def test_an_answer_without_what_was_asked_for_is_busy(
    sandbox: Sandbox, partners: Partners, monkeypatch: pytest.MonkeyPatch, call: str
):
    monkeypatch.setattr(parcels, call, lambda *_: {"errcode": 0, "errmsg": "ok"})

    with pytest.raises(WechatBusy):
        if call == "trace_waybill":
            await partners.wechat.trace_waybill(a_parcel("o1"))
        else:
            await partners.wechat.query_trace("o1", "t")


# -- events ----------------------------------------------------------------------------------------


def test_the_published_event_is_read():
    track = path(read_body(OFFICIAL_XML))

    assert (track.waybill, track.company, track.order_number) == ("123456789", "shunfeng", "4200000001")
    assert [(each.status, each.raw_code, each.raw_text) for each in track.nodes] == [
        ("collected", "100001", "揽件成功"),
        ("in_transit", "200001", "到达集散中心"),
    ]
    assert track.nodes[0].event_at == datetime(2019, 1, 8, 5, 20, 40, tzinfo=UTC)
    assert not track.complete


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("writing", ["json", "xml"])
async def test_json_and_xml_with_one_node_and_with_many_say_the_same(sandbox: Sandbox, writing: Any, nodes: int):
    app = sandbox.world.mini_program
    app.push = replace(app.push, written=writing)
    actions = [{"ActionTime": 1546924840 + n, "ActionType": 300002, "ActionMsg": f"第{n}次"} for n in range(nodes)]
    fields = {
        "ToUserName": "gh_1",
        "FromUserName": "oUser",
        "CreateTime": 1546924844,
        "MsgType": "event",
        "Event": "add_express_path",
        "DeliveryID": "EMS",
        "WayBillId": "TEST0000000001",
        "Version": 1,
        "Count": nodes,
        "Actions": actions,
    }

    track = parcel_path(read(app, fields), load("wechat"))

    assert (track.waybill, track.company) == ("TEST0000000001", "ems")
    assert [(n.status, n.raw_text) for n in track.nodes] == [("out_for_delivery", f"第{n}次") for n in range(nodes)]


async def test_a_test_control_moves_a_parcel_and_pushes_its_path(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("王小明")
    token = await partners.wechat.trace_waybill(a_parcel(someone.openid))

    async with httpx.AsyncClient(base_url=sandbox.base) as client:
        await client.post("/sandbox/parcels/SF0000000000001", json=[{"kind": 100001, "words": "已揽收"}])
        answer = await client.post("/sandbox/parcels/SF0000000000001", json=[{"kind": 300003, "words": "已签收"}])
        nobody = await client.post("/sandbox/parcels/SF0000000000009", json=[{"kind": 300003}])

    (sent,) = answer.json()
    track = partners.wechat.parcel_path(read(sandbox.world.mini_program, sent["fields"]))
    assert [each.status for each in track.nodes] == ["collected", "delivered"]
    assert await partners.wechat.query_trace(someone.openid, token) == "delivered"
    assert nobody.json() == []


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"WayBillId": "123456789", "DeliveryID": ""},
        {"WayBillId": "", "DeliveryID": "SF"},
        {"WayBillId": "123456789", "DeliveryID": "SF", "Actions": "x"},
        {"WayBillId": "123456789", "DeliveryID": "SF", "Actions": [{"ActionTime": "x", "ActionType": "100001"}]},
        {"WayBillId": "123456789", "DeliveryID": "SF", "Actions": {"ActionTime": "9999999999", "ActionType": "100001"}},
        {"WayBillId": ["1"], "DeliveryID": "SF"},
    ],
)
def test_an_event_of_another_shape_is_unreadable(content: dict[str, Any]):
    with pytest.raises(CourierPushInvalid):
        path(content)


def test_another_event_is_no_path():
    with pytest.raises(CourierPushInvalid):
        path(read_body(OFFICIAL_XML), event="subscribe_msg_popup_event")


@given(
    st.dictionaries(st.sampled_from(["WayBillId", "DeliveryID", "Actions", "OrderId"]), st.text(max_size=9) | st.none())
)
def test_any_content_is_read_or_refused(content: dict[str, Any]):
    try:
        fields = read_body(msgspec.json.encode({"WayBillId": "123456789", **content}))
        path(fields)
    except (WechatPushInvalid, CourierPushInvalid):
        return
