"""Notices: the published ones, fresh ones, and every way of not being one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend import clock
from backend.partners.paying.port import (
    ChannelOrderState,
    ChannelRefundState,
    Notice,
    NoticeKind,
    PaymentNoticeExpired,
    PaymentNoticeInvalid,
    PaymentNoticeSignatureInvalid,
)
from backend.partners.wechat_pay.merchant import Merchant, merchant_from
from backend.partners.wechat_pay.notices import open_notice
from backend.partners.wechat_pay.platform_keys import PlatformKeys
from tests.backend.partners.wechat_pay.platform import (
    MESSAGES,
    REFUNDED,
    SUCCESS,
    Platform,
    Signer,
    a_signer,
    published,
)

PLATFORM = Platform()
MERCHANT = merchant_from(PLATFORM.settings())


def keys_of(merchant: Merchant, platform: Platform, pause: float = 60.0) -> PlatformKeys:
    return PlatformKeys(merchant, platform.fetch, oldest=36_000, pause=pause)


async def opened(body: bytes, headers: dict[str, str] | None = None, signer: Signer | None = None) -> Notice:
    """As the fresh platform's, signed unless headers are given."""
    headers = headers if headers is not None else (signer or PLATFORM.signers[0]).headers(body)
    return await open_notice(MERCHANT, keys_of(MERCHANT, PLATFORM), headers, body)


async def opened_published(name: str, *, at: datetime | None = None) -> Notice:
    known = MESSAGES[name]
    headers = {key.lower(): value for key, value in known["headers"].items()}
    headers["wechatpay-serial"] = MESSAGES["callback_public_key_mode"]["headers"]["Wechatpay-Serial"]
    merchant = merchant_from(published())
    moment = at or datetime.fromtimestamp(int(headers["wechatpay-timestamp"]), UTC)
    with clock.travel(to=moment):
        return await open_notice(merchant, keys_of(merchant, Platform()), headers, known["body"].encode())


@pytest.mark.parametrize(
    "name", ["callback_transaction_success", "callback_empty_associated_data", "callback_public_key_mode"]
)
async def test_a_published_notice_of_a_payment_is_read(name: str):
    notice = await opened_published(name)

    assert notice.kind is NoticeKind.ORDER
    assert notice.identity == json.loads(MESSAGES[name]["body"])["id"]
    assert notice.plaintext == MESSAGES[name]["expected_plaintext"]
    assert notice.order is not None
    assert notice.order.state is ChannelOrderState.PAID
    assert (notice.order.number, notice.order.amount_fen) == ("GOV20260101000001", 1000)
    assert (notice.order.app_id, notice.order.merchant_id) == (MESSAGES["appid"], MESSAGES["mchid"])
    assert notice.order.payer == MESSAGES["openid"]
    assert notice.order.paid_at == datetime(2026, 1, 1, 4, 0, 4, tzinfo=UTC)


async def test_the_published_notice_of_a_refund_is_read():
    notice = await opened_published("callback_refund_success")

    assert notice.kind is NoticeKind.REFUND
    assert notice.refund is not None
    assert notice.refund.state is ChannelRefundState.SUCCEEDED
    assert notice.refund.number == REFUNDED["out_refund_no"]
    assert notice.refund.amount_fen == REFUNDED["amount"]["refund"]


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
async def test_a_right_signature_of_another_time_is_stale(seconds: int):
    moment = datetime.fromtimestamp(1767240005 + seconds, UTC)

    with pytest.raises(PaymentNoticeExpired):
        await opened_published("callback_transaction_success", at=moment)


async def test_a_fresh_notice_signed_with_a_certificate_that_was_just_fetched_is_read():
    notice = await opened(PLATFORM.notice(SUCCESS))

    assert notice.order is not None
    assert notice.order.transaction_id == SUCCESS["transaction_id"]
    assert notice.event == "TRANSACTION.SUCCESS"


async def test_odd_spacing_escapes_and_order_of_names_are_all_the_same_to_us():
    plaintext = json.dumps(dict(reversed(SUCCESS.items())), indent=3, ensure_ascii=True).encode()
    body = json.dumps(dict(reversed(json.loads(PLATFORM.notice(plaintext)).items())), indent=1).encode() + b"\n"

    notice = await opened(body)

    assert notice.order is not None
    assert notice.order.amount_fen == SUCCESS["amount"]["total"]


Change = Callable[[dict[str, str]], dict[str, str]]
FORGERIES: dict[str, Change] = {
    "no headers": lambda h: {},
    "no timestamp": lambda h: {k: v for k, v in h.items() if k != "wechatpay-timestamp"},
    "no nonce": lambda h: {k: v for k, v in h.items() if k != "wechatpay-nonce"},
    "no serial": lambda h: {k: v for k, v in h.items() if k != "wechatpay-serial"},
    "no signature": lambda h: {k: v for k, v in h.items() if k != "wechatpay-signature"},
    "empty signature": lambda h: {**h, "wechatpay-signature": ""},
    "signature twice": lambda h: {
        **h,
        "wechatpay-signature": f"{h['wechatpay-signature']}, {h['wechatpay-signature']}",
    },
    "nonce twice": lambda h: {**h, "wechatpay-nonce": f"{h['wechatpay-nonce']}, {h['wechatpay-nonce']}"},
    "timestamp twice": lambda h: {**h, "wechatpay-timestamp": f"{h['wechatpay-timestamp']}, 1"},
    "serial twice": lambda h: {**h, "wechatpay-serial": f"{h['wechatpay-serial']}, {h['wechatpay-serial']}"},
    "type twice": lambda h: {**h, "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048, WECHATPAY2-SHA256-RSA2048"},
    "other type": lambda h: {**h, "wechatpay-signature-type": "WECHATPAY2-SM2-WITH-SM3"},
    "probe": lambda h: {**h, "wechatpay-signature": "WECHATPAY/SIGNTEST/" + h["wechatpay-signature"][19:]},
    "not base64": lambda h: {**h, "wechatpay-signature": h["wechatpay-signature"][:-1] + "!"},
    "cut signature": lambda h: {**h, "wechatpay-signature": h["wechatpay-signature"][:-4]},
    "other timestamp": lambda h: {**h, "wechatpay-timestamp": str(int(h["wechatpay-timestamp"]) + 1)},
    "timestamp with sign": lambda h: {**h, "wechatpay-timestamp": "+" + h["wechatpay-timestamp"]},
    "timestamp in arabic digits": lambda h: {**h, "wechatpay-timestamp": "١٧٦٧٢٤٠٠٠٥"},
    "other nonce": lambda h: {**h, "wechatpay-nonce": "x" + h["wechatpay-nonce"][1:]},
    "nonce with a line feed": lambda h: {**h, "wechatpay-nonce": h["wechatpay-nonce"] + "\n"},
    "unknown serial": lambda h: {**h, "wechatpay-serial": "5" * 40},
    "unknown public key": lambda h: {**h, "wechatpay-serial": "PUB_KEY_ID_0"},
    "long nonce": lambda h: {**h, "wechatpay-nonce": "x" * 10_000},
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_notice_without_the_platforms_signature_is_forged(name: str):
    body = PLATFORM.notice(SUCCESS)

    with pytest.raises(PaymentNoticeSignatureInvalid) as refused:
        await opened(body, FORGERIES[name](PLATFORM.signers[0].headers(body)))

    assert not isinstance(refused.value, PaymentNoticeExpired)


async def test_a_signature_without_its_type_is_the_usual_type():
    body = PLATFORM.notice(SUCCESS)
    headers = PLATFORM.signers[0].headers(body)
    del headers["wechatpay-signature-type"]

    assert (await opened(body, headers)).kind is NoticeKind.ORDER


async def test_another_body_under_a_right_signature_is_forged():
    body = PLATFORM.notice(SUCCESS)

    with pytest.raises(PaymentNoticeSignatureInvalid):
        await opened(body.replace("支付成功".encode(), "支付失败".encode()), PLATFORM.signers[0].headers(body))


async def test_a_stranger_who_signs_under_the_platforms_serial_is_forged():
    body, stranger = PLATFORM.notice(SUCCESS), a_signer()
    stranger.serial = PLATFORM.signers[0].serial

    with pytest.raises(PaymentNoticeSignatureInvalid):
        await opened(body, signer=stranger)


def doubled(name: str, value: str) -> bytes:
    """The plaintext with one name twice."""
    return json.dumps(SUCCESS)[:-1].encode() + f',"{name}":{value}}}'.encode()


PLAINTEXTS: dict[str, bytes] = {
    "amount twice": doubled("amount", '{"total":1,"currency":"CNY"}'),
    "total twice": json.dumps(SUCCESS).replace('"total": 1000', '"total": 1000, "total": 1').encode(),
    "number twice": doubled("out_trade_no", '"GOV20260101000001"'),
    "fraction": json.dumps(SUCCESS).replace('"total": 1000', '"total": 1000.0').encode(),
    "exponent": json.dumps(SUCCESS).replace('"total": 1000', '"total": 1e3').encode(),
    "text": json.dumps(SUCCESS).replace('"total": 1000', '"total": "1000"').encode(),
    "true": json.dumps(SUCCESS).replace('"total": 1000', '"total": true').encode(),
    "null": json.dumps(SUCCESS).replace('"total": 1000', '"total": null').encode(),
    "zero": json.dumps(SUCCESS).replace('"total": 1000', '"total": 0').encode(),
    "negative": json.dumps(SUCCESS).replace('"total": 1000', '"total": -1000').encode(),
    "leading zero": json.dumps(SUCCESS).replace('"total": 1000', '"total": 01000').encode(),
    "not a number": json.dumps(SUCCESS).replace('"total": 1000', '"total": NaN').encode(),
    "enormous": json.dumps(SUCCESS).replace('"total": 1000', f'"total": 1{"0" * 5000}').encode(),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(SUCCESS).encode(),
    "list": json.dumps([SUCCESS]).encode(),
    "not JSON": b"<xml/>",
    "not UTF-8": json.dumps(SUCCESS, ensure_ascii=False).encode("gbk"),
    "nothing": b"",
    "deep": b"[" * 100_000,
    "no number": json.dumps({**SUCCESS, "out_trade_no": ""}).encode(),
    "no transaction": json.dumps({k: v for k, v in SUCCESS.items() if k != "transaction_id"}).encode(),
    "unknown state": json.dumps({**SUCCESS, "trade_state": "MAYBE"}).encode(),
    "no time": json.dumps({**SUCCESS, "success_time": "yesterday"}).encode(),
    "time without offset": json.dumps({**SUCCESS, "success_time": "2026-01-01T12:00:04"}).encode(),
    "NUL in the number": json.dumps({**SUCCESS, "out_trade_no": "P\u0000"}).encode(),
    "half a character": json.dumps({**SUCCESS, "out_trade_no": "P\ud800"}).encode(),
    "both modes": json.dumps({**SUCCESS, "sp_mchid": "1900000001"}).encode(),
}


@pytest.mark.parametrize("name", PLAINTEXTS)
async def test_signed_content_with_no_single_meaning_is_malformed(name: str):
    assert PLAINTEXTS[name] != json.dumps(SUCCESS).encode()

    with pytest.raises(PaymentNoticeInvalid):
        await opened(PLATFORM.notice(PLAINTEXTS[name]))


def altered(**changes: Any) -> bytes:
    """The envelope with changes in its resource; a None takes away."""
    envelope = json.loads(PLATFORM.notice(SUCCESS))
    resource = {**envelope["resource"], **changes}
    envelope["resource"] = {name: value for name, value in resource.items() if value is not None}
    return json.dumps(envelope).encode()


def envelope_twice(name: str) -> bytes:
    return PLATFORM.notice(SUCCESS)[:-1] + f',"{name}":"x"}}'.encode()


ENVELOPES: dict[str, bytes] = {
    "other algorithm": altered(algorithm="AEAD_SM4_GCM"),
    "no algorithm": altered(algorithm=None),
    "no nonce": altered(nonce=None),
    "short nonce": altered(nonce="abc"),
    "no ciphertext": altered(ciphertext=None),
    "ciphertext not base64": altered(ciphertext="%%%"),
    "other associated data": altered(associated_data="refund"),
    "associated data of a number": altered(associated_data=7),
    "sealed with another key": Platform().notice(SUCCESS),
    "no id": PLATFORM.notice(SUCCESS, id=""),
    "long id": PLATFORM.notice(SUCCESS, id="x" * 65),
    "no event": PLATFORM.notice(SUCCESS, event_type=None),
    "no resource": PLATFORM.notice(SUCCESS, resource=[]),
    "id twice": envelope_twice("id"),
    "resource twice": envelope_twice("resource"),
    "byte order mark": b"\xef\xbb\xbf" + PLATFORM.notice(SUCCESS),
    "empty": b"",
    "not JSON": b"hello",
    "too large": PLATFORM.notice(SUCCESS, summary="x" * 70_000),
}


@pytest.mark.parametrize("name", ENVELOPES)
async def test_a_signed_envelope_that_cannot_be_read_is_malformed(name: str):
    with pytest.raises(PaymentNoticeInvalid):
        await opened(ENVELOPES[name])


async def test_a_combined_payment_and_events_of_other_products_are_foreign_and_kept():
    combined = await opened(PLATFORM.notice({"combine_out_trade_no": "C1", "sub_orders": []}))
    other = await opened(PLATFORM.notice(b"anything", event="PAYSCORE.USER_PAID", original="payscore"))

    assert (combined.kind, other.kind) == (NoticeKind.FOREIGN, NoticeKind.FOREIGN)
    assert other.plaintext == "anything"
    assert other.event == "PAYSCORE.USER_PAID"


@pytest.mark.parametrize("state", ["SUCCESS", "ABNORMAL", "CLOSED"])
async def test_each_end_of_a_refund_has_an_event_of_its_name(state: str):
    content = {**REFUNDED, "refund_status": state}

    notice = await opened(PLATFORM.notice(content, event=f"REFUND.{state}", original="refund"))

    assert notice.refund is not None
    assert notice.refund.raw_state == state
    with pytest.raises(PaymentNoticeInvalid):
        await opened(PLATFORM.notice(content, event="REFUND.OTHER", original="refund"))


async def test_a_service_provider_reads_the_names_of_its_mode():
    content = {name: value for name, value in SUCCESS.items() if name not in ("appid", "mchid", "payer")}
    content |= {"sp_appid": "wx1", "sp_mchid": "19", "sub_mchid": "20", "payer": {"sp_openid": "o1", "sub_openid": ""}}

    order = (await opened(PLATFORM.notice(content))).order

    assert order is not None
    assert (order.app_id, order.merchant_id, order.sub_merchant_id, order.payer) == ("wx1", "19", "20", "o1")


async def test_a_certificate_whose_time_is_over_signs_nothing_any_more():
    expired = a_signer(begins=clock.now() - timedelta(days=9), ends=clock.now() - timedelta(days=1))
    platform = Platform(api_v3_key=PLATFORM.api_v3_key, signers=[PLATFORM.signers[0], expired])
    body = platform.notice(SUCCESS)

    with pytest.raises(PaymentNoticeSignatureInvalid) as refused:
        await open_notice(MERCHANT, keys_of(MERCHANT, platform), expired.headers(body), body)

    assert refused.value.why == "expired-key"
