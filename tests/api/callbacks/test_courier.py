"""`/v1/callbacks/courier/…`: what couriers push is verified or doubted, stored once, answered in their words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar

from backend import clock, database, jobs
from backend.database import fetch, fetch_value
from backend.deliveries import callbacks
from backend.partners import Partners, equip, partners_from
from backend.partners.courier.signing import kdniao_signature, kuaidi100_signature
from backend.settings import settings as values
from backend.settings import using
from models.callbacks import InboundMessage
from models.events import EventRecord
from models.shipments import Shipment
from tests.backend.partners.wechat.test_hostile_bodies import HOSTILE
from tests.factories.deliveries import a_shipment, delivery_state, recorded_states

BASE = "/v1/callbacks/courier"
SALT, TOKEN, APP_KEY = "pepper-4711", "q7Vx2mN9rT4kW8zB3cH6jL1pD5sF0gYa", "app-key-1"
SWITCHED_ON = {
    "kuaidi100_key": "key",
    "kuaidi100_customer": "customer",
    "kuaidi100_salt": SALT,
    "sf_partner_id": "partner",
    "sf_checkword": "checkword",
    "kdniao_business_id": "1237100",
    "kdniao_app_key": APP_KEY,
    "courier_push_token": TOKEN,
}


@pytest.fixture(autouse=True)
async def couriers(app: Litestar) -> AsyncIterator[Partners]:
    """Our side of three couriers; none is called here."""
    with using(**SWITCHED_ON):
        app.state["partners"] = bundle = partners_from(values())
        equip(bundle)
        yield bundle
        equip(None)
        await bundle.close()


def when(minutes: float = 0) -> str:
    at = clock.now() + timedelta(minutes=minutes)
    return f"{at.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M:%S}"


def kuaidi100(shipment: Shipment, *entries: tuple[str, float], salt: str = SALT, **changes: object) -> bytes:
    """A push of the whole list, newest first, signed."""
    data = [
        {"context": f"快件 {code}", "time": when(at), "ftime": when(at), "statusCode": code} for code, at in entries
    ]
    last = {"state": "0", "status": "200", "com": "ems", "nu": shipment.waybill, "ischeck": "0", "data": data}
    param = json.dumps({"status": "polling", "lastResult": last, **changes}, ensure_ascii=False)
    return urlencode({"sign": kuaidi100_signature(param, salt), "param": param}).encode()


def sf(shipment: Shipment, *entries: tuple[str, float, str]) -> bytes:
    """An increment of up to ten routes, as JSON."""
    routes = [
        {
            "id": identity,
            "mailno": shipment.waybill,
            "orderid": shipment.number,
            "acceptTime": when(at),
            "acceptAddress": "长春市",
            "opCode": code,
            "remark": f"路由 {code}",
        }
        for code, at, identity in entries
    ]
    return json.dumps({"Body": {"WaybillRoute": routes}}, ensure_ascii=False).encode()


async def post(client: httpx.AsyncClient, address: str, body: bytes, kind: str = "form") -> httpx.Response:
    kinds = {"form": "application/x-www-form-urlencoded", "json": "application/json", "xml": "text/xml"}
    return await client.post(f"{BASE}/{address}", content=body, headers={"content-type": kinds[kind]})


async def worked() -> None:
    """The worker has done everything that is due."""
    await jobs.drain()


async def nothing_was_kept() -> bool:
    return await InboundMessage.all().count() == 0 and await EventRecord.all().count() == 0


async def test_a_push_is_stored_answered_in_its_own_words_and_worked_off_later(client: httpx.AsyncClient):
    shipment = await a_shipment()

    answer = await post(client, "kuaidi100", kuaidi100(shipment, ("103", -5)))

    assert (answer.status_code, answer.json()) == (200, {"result": True, "returnCode": "200", "message": "成功"})
    assert await delivery_state(shipment.delivery_id) == "ordered"
    await worked()
    assert await delivery_state(shipment.delivery_id) == "picked_up"
    [row] = await fetch("SELECT partner, state, body FROM inbound_messages")
    assert (row["partner"], row["state"], str(shipment.waybill) in row["body"]) == ("kuaidi100", "handled", False)


async def test_what_was_pushed_can_be_looked_into_word_for_word(client: httpx.AsyncClient):
    body = kuaidi100(await a_shipment(), ("103", -5))
    await post(client, "kuaidi100", body)

    kept = await callbacks.get_stored_push(await fetch_value("SELECT id FROM inbound_messages"))

    assert kept is not None
    assert quote(kept.plaintext)[:40] in body.decode().replace("+", "%20")
    assert await callbacks.get_stored_push(await fetch_value("SELECT gen_random_uuid()")) is None


async def test_a_repeated_push_is_answered_alike_and_changes_nothing(client: httpx.AsyncClient):
    shipment = await a_shipment()
    body = kuaidi100(shipment, ("103", -5))
    first = await post(client, "kuaidi100", body)
    await worked()

    again = await post(client, "kuaidi100", body)
    await worked()

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert await InboundMessage.all().count() == 1
    assert await recorded_states(shipment.delivery_id) == ["picked_up"]
    assert await fetch_value("SELECT count(*) FROM shipment_nodes") == 1


@pytest.mark.parametrize("how", ["another salt", "no sign", "changed after signing", "no param"])
async def test_a_forged_push_is_refused_and_leaves_nothing(client: httpx.AsyncClient, how: str):
    shipment = await a_shipment()
    body = kuaidi100(shipment, ("301", -5), salt="guessed" if how == "another salt" else SALT)
    body = {
        "another salt": body,
        "no sign": b"&".join(part for part in body.split(b"&") if not part.startswith(b"sign")),
        "changed after signing": body.replace(b"301", b"302"),
        "no param": body.replace(b"param=", b"parameter="),
    }[how]

    before = await EventRecord.all().count()
    answer = await post(client, "kuaidi100", body)

    assert (answer.status_code, answer.json()["code"]) == (401, "courier-push-signature-invalid")
    assert (await InboundMessage.all().count(), await EventRecord.all().count()) == (0, before)
    assert await delivery_state(shipment.delivery_id) == "ordered"


async def test_a_push_from_the_future_is_refused(client: httpx.AsyncClient):
    answer = await post(client, "kuaidi100", kuaidi100(await a_shipment(), ("301", 200)))

    assert answer.json()["code"] == "courier-push-signature-invalid"
    assert await nothing_was_kept()


async def test_routes_from_the_future_are_refused_one_by_one_where_the_partner_can_read_it(client: httpx.AsyncClient):
    shipment = await a_shipment(company="shunfeng", tracker="sf")
    body = sf(shipment, ("50", -5, "r1"), ("44", 600, "r2"))

    answer = await post(client, f"sf/{TOKEN}", body, "json")
    await worked()

    assert answer.status_code == 200
    assert await recorded_states(shipment.delivery_id) == ["picked_up"]


async def test_a_partner_without_signature_is_trusted_in_all_but_the_signature_for_the_parcel(
    client: httpx.AsyncClient,
):
    shipment = await a_shipment(company="shunfeng", tracker="sf")

    answer = await post(client, f"sf/{TOKEN}", sf(shipment, ("44", -9, "r1"), ("80", -1, "r2")), "json")
    await worked()

    assert answer.json() == {"return_code": "0000", "return_msg": "成功"}
    assert await delivery_state(shipment.delivery_id) == "out_for_delivery"
    assert await fetch_value("SELECT unconfirmed_end_at IS NOT NULL FROM shipments") is True


async def test_the_same_in_xml_and_in_a_form(client: httpx.AsyncClient):
    shipment = await a_shipment(company="shunfeng", tracker="sf")
    xml = (
        f'<Request service="RoutePushService" lang="zh-CN"><Body><WaybillRoute id="1" mailno="{shipment.waybill}" '
        f'orderid="" acceptTime="{when(-3)}" acceptAddress="长春" remark="已揽收" opCode="50"/></Body></Request>'
    )

    answer = await post(client, f"sf/{TOKEN}", urlencode({"content": xml}).encode())
    again = await post(client, f"sf/{TOKEN}", xml.encode(), "xml")
    await worked()

    assert "<Head>OK</Head>" in answer.text
    assert again.status_code == 200
    assert await recorded_states(shipment.delivery_id) == ["picked_up"]


@pytest.mark.parametrize(
    "address",
    [
        "sf",
        "sf/wrong-token",
        f"sf/{TOKEN}x",
        f"kuaidi100/{TOKEN}",
        "nobody",
        f"nobody/{TOKEN}",
        "ems",
        f"sf/{TOKEN[:-1]}%00",
        "sf/%E4%B8%AD",
    ],
)
async def test_a_wrong_address_is_answered_like_one_that_does_not_exist(client: httpx.AsyncClient, address: str):
    answer = await post(client, address, sf(await a_shipment(), ("50", -5, "r1")), "json")
    unknown = await client.post("/v1/callbacks/no-such-thing", content=b"{}")

    assert (
        (answer.status_code, answer.json()["code"])
        == (unknown.status_code, unknown.json()["code"])
        == (
            404,
            "route-not-found",
        )
    )
    assert await InboundMessage.all().count() == 0


async def test_without_a_token_in_the_settings_no_unsigned_push_is_accepted(client: httpx.AsyncClient):
    with using(courier_push_token=""):
        for address in ("sf/", "sf/%20", f"sf/{TOKEN}"):
            assert (await post(client, address, b"{}", "json")).status_code == 404


@pytest.mark.parametrize(("networks", "status"), [("203.0.113.0/24, 127.0.0.0/8", 200), ("203.0.113.0/24", 404)])
async def test_unsigned_pushes_come_from_known_networks(client: httpx.AsyncClient, networks: str, status: int):
    with using(courier_push_networks=networks):
        answer = await post(client, f"sf/{TOKEN}", sf(await a_shipment(), ("50", -5, "r1")), "json")

    assert answer.status_code == status


async def test_an_unknown_parcel_is_taken_counted_and_kept(client: httpx.AsyncClient):
    shipment = Shipment(waybill="EA999999999CN", number="S1")

    answer = await post(client, "kuaidi100", kuaidi100(shipment, ("103", -5)))
    await worked()

    assert answer.json()["result"] is True
    assert await fetch_value("SELECT count(*) FROM shipment_nodes") == 0
    assert await fetch_value("SELECT state FROM inbound_messages") == "handled"


async def test_a_signed_push_of_another_partner_does_not_move_this_companys_parcel(client: httpx.AsyncClient):
    shipment = await a_shipment()
    traces = [{"AcceptTime": when(-1), "AcceptStation": "已签收", "Action": "3", "Location": "长春"}]
    entry = {"ShipperCode": "SF", "LogisticCode": shipment.waybill, "Success": True, "State": "3", "Traces": traces}
    data = json.dumps({"EBusinessID": "1237100", "PushTime": when(), "Count": "1", "Data": [entry]})
    fields = {"RequestData": data, "RequestType": "101", "DataSign": kdniao_signature(data, APP_KEY)}
    tracker = "kdniao" if partners_sign("kdniao") else f"kdniao/{TOKEN}"

    answer = await post(client, tracker, urlencode(fields).encode())
    await worked()

    assert (answer.status_code, answer.json()["Success"]) == (200, True)
    assert await delivery_state(shipment.delivery_id) == "ordered"


def partners_sign(name: str) -> bool:
    return partners_from(values()).trackers[name].signs


async def test_a_push_that_cannot_be_stored_is_sent_again(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    shipment = await a_shipment()

    async def down(*_: object) -> object:
        raise database.DatabaseDown

    with monkeypatch.context() as broken:
        broken.setattr(callbacks, "fetch_value", down)
        answer = await post(client, "kuaidi100", kuaidi100(shipment, ("103", -5)))
    assert answer.json()["result"] is False

    assert (await post(client, "kuaidi100", kuaidi100(shipment, ("103", -5)))).json()["result"] is True


async def test_a_push_that_is_too_large_is_not_read(client: httpx.AsyncClient):
    answer = await post(client, "kuaidi100", b"param=" + b"x" * 5_000_000)

    assert answer.status_code == 413


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bodies_are_refused(client: httpx.AsyncClient, name: str):
    body = HOSTILE[name].replace(b"<xml", b"<Request").replace(b"</xml", b"</Request")
    for address in ("kuaidi100", f"sf/{TOKEN}", "kdniao"):
        for given_body in (body, urlencode({"content": body, "param": body, "RequestData": body}).encode()):
            answer = await post(client, address, given_body)
            assert 400 <= answer.status_code < 500, (address, name)
    assert await nothing_was_kept()


SIGNED_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["lastResult", "data", "nu", "com", "status", "time", "ftime", "context"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300), said=SIGNED_JSON, mutated=st.tuples(st.integers(0, 400), st.integers(0, 255)))
async def test_no_bytes_lead_to_a_mistake_of_ours(
    client: httpx.AsyncClient, raw: bytes, said: object, mutated: tuple[int, int]
):
    param = json.dumps(said)
    signed = urlencode({"param": param, "sign": kuaidi100_signature(param, SALT)}).encode()
    real = bytearray(sf(Shipment(waybill="SF1", number="S1"), ("50", -5, "r1")))
    real[mutated[0] % len(real)] = mutated[1]

    for address, body in (
        ("kuaidi100", raw),
        ("kuaidi100", signed),
        (f"sf/{TOKEN}", raw),
        (f"sf/{TOKEN}", param.encode()),
        (f"sf/{TOKEN}", bytes(real)),
        ("kdniao", raw),
    ):
        assert (await post(client, address, body)).status_code < 500
    await worked()


async def test_half_characters_in_signed_json_do_not_stop_the_worker(client: httpx.AsyncClient):
    shipment = await a_shipment()
    entry = {"context": "\ud800\0 到", "time": when(-5), "statusCode": "\udfff103"}
    last = {"state": "0", "com": "ems", "nu": shipment.waybill, "data": [entry]}
    param = json.dumps({"status": "polling", "lastResult": last})
    body = urlencode({"param": param, "sign": kuaidi100_signature(param, SALT)}).encode()

    answer = await post(client, "kuaidi100", body)
    await worked()

    assert answer.status_code < 500
