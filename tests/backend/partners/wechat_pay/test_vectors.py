"""Every published value that can be recomputed, recomputed with our own functions."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15

from backend import clock
from backend.partners.base import Reply
from backend.partners.paying.keys import is_published, private_key, public_key
from backend.partners.paying.port import PaymentNoticeSignatureInvalid
from backend.partners.wechat_pay.merchant import TEST_SERIALS, merchant_from
from backend.partners.wechat_pay.platform_keys import opened
from backend.partners.wechat_pay.sealing import Sealed, open_resource, seal_field
from backend.partners.wechat_pay.signing import SCHEME, authorization, lines, pay_parameters, sign
from backend.partners.wechat_pay.verifying import signed
from tests.backend.partners.wechat_pay.platform import GO, JAVA, MESSAGES, Platform, loaded, private, published

MERCHANT = merchant_from(published())
PLATFORM_KEY = public_key(JAVA["pem"]["wechat_pay_public_key"], "k")
SIGNED = (
    "jsapi_order_response",
    "no_content_response_204",
    "callback_transaction_success",
    "callback_empty_associated_data",
    "callback_public_key_mode",
    "callback_refund_success",
)


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def resource_of(message: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(message["body"])["resource"])


@pytest.mark.parametrize("name", ["jsapi_order_request", "query_request"])
def test_an_authorization_is_the_published_one(name: str):
    known = MESSAGES[name]

    made = authorization(
        MERCHANT,
        known["method"],
        known["url"],
        known["body"].encode(),
        timestamp=known["timestamp"],
        nonce=known["nonce"],
    )

    assert made == known["authorization"]


@pytest.mark.parametrize("at", range(2))
def test_the_signed_lines_of_a_request_are_those_of_the_go_library(at: int):
    known = GO["authorization_layout"][at]

    made = lines(known["method"], known["url"], str(known["timestamp"]), known["nonce"], known["body"])

    assert made.decode() == known["message"]
    assert GO["authorization_header_template"].startswith(f'{SCHEME} mchid="')


def test_signatures_of_both_libraries_are_recomputed():
    go, java = GO["signing"], JAVA["merchant_signature"]

    assert sign(private(go["test_key_pem"]), go["message"].encode()) == go["signature_b64"]
    assert sign(MERCHANT.key, java["message"].encode()) == java["signature_b64"]


def test_what_the_front_end_is_given_is_the_published_pay_sign():
    known = MESSAGES["pay_sign_mini_program"]

    made = pay_parameters(
        MERCHANT,
        known["package"].removeprefix("prepay_id="),
        timestamp=known["timeStamp"],
        nonce=known["nonceStr"],
    )

    assert made == {name: known[name] for name in ("timeStamp", "nonceStr", "package", "signType", "paySign")}


def test_the_lines_under_a_pay_sign_are_the_documented_ones():
    known = MESSAGES["official_pay_sign"]

    made = lines(known["appid"], known["timestamp"], known["nonce"], f"prepay_id={known['prepay_id']}")

    assert made.decode() == known["jsapi_message"]


@pytest.mark.parametrize("name", SIGNED)
def test_a_published_answer_or_notice_is_accepted_within_five_minutes(name: str):
    known = MESSAGES[name]
    claim = signed(lowered(known["headers"]), known["body"].encode())

    with clock.travel(to=datetime.fromtimestamp(claim.timestamp + 299, UTC)):
        claim.verify(PLATFORM_KEY)

    assert claim.message.decode() == known["message"]


@pytest.mark.parametrize("name", ["callback_signature_probe", "callback_tampered_body"])
def test_a_published_forgery_is_refused(name: str):
    known = MESSAGES[name]

    with pytest.raises(PaymentNoticeSignatureInvalid), clock.travel(to=datetime.fromtimestamp(1767240005, UTC)):
        signed(lowered(known["headers"]), known["body"].encode()).verify(PLATFORM_KEY)


@pytest.mark.parametrize("name", [each for each in SIGNED if each.startswith("callback")])
def test_a_published_notice_opens_to_its_plaintext(name: str):
    assert (
        open_resource(MERCHANT.api_v3_key, resource_of(MESSAGES[name])).decode() == MESSAGES[name]["expected_plaintext"]
    )


def test_the_notice_of_the_go_library_is_signed_right_and_its_short_key_is_refused():
    known = GO["callback"]
    certificate = x509.load_pem_x509_certificate(known["platform_certificate_pem"].encode())
    claim = signed(lowered(known["headers"]), known["body"].encode())

    with clock.travel(to=datetime.fromtimestamp(claim.timestamp, UTC)):
        claim.verify(public_key(known["platform_certificate_pem"], "k"))

    assert f"{certificate.serial_number:X}" == claim.serial
    with pytest.raises(Sealed, match="32 bytes"):
        open_resource(known["api_v3_key"].encode(), resource_of(known))


def test_the_sealed_text_of_the_java_library_opens_and_its_three_forgeries_do_not():
    known = JAVA["aead"]
    resource = {
        "algorithm": "AEAD_AES_256_GCM",
        "associated_data": known["associated_data"],
        "nonce": known["nonce"],
        "ciphertext": known["ciphertext_b64"],
    }
    forgeries = (
        {"associated_data": "bad-associatedData"},
        {"nonce": "bad-4a9R25RW"},
        {"ciphertext": "AAAA" * 42 + "AA=="},
    )

    assert open_resource(MERCHANT.api_v3_key, resource).decode() == known["plaintext"]
    for change in forgeries:
        with pytest.raises(Sealed):
            open_resource(MERCHANT.api_v3_key, {**resource, **change})


def test_the_published_list_of_certificates_opens_when_its_own_certificate_signs_it():
    known, expected = JAVA["download_certificates_response"], JAVA["download_expected"]
    body = json.dumps(known).encode()
    reply = Reply(200, Platform().signers[0].headers(body), body)

    # The private half of that certificate was never published, so the list is signed with the key of the console.
    key = private(JAVA["pem"]["wechat_pay_private_key"])
    with clock.travel(to=datetime(2026, 1, 1, tzinfo=UTC)):
        message = f"{clock.timestamp()}\nabc\n".encode() + body + b"\n"
        headers = {
            **reply.headers,
            "wechatpay-timestamp": str(clock.timestamp()),
            "wechatpay-nonce": "abc",
            "wechatpay-serial": MERCHANT.public_key_id,
            "wechatpay-signature": sign(key, message),
        }
        found = opened(MERCHANT, Reply(200, headers, body), {})

    certificate = x509.load_pem_x509_certificate(expected["certificate_pem"].encode())
    assert list(found) == [expected["serial_no"]]
    assert found[expected["serial_no"]].key.public_numbers() == certificate.public_key().public_numbers()  # type: ignore[union-attr]


def test_a_sealed_field_opens_with_the_platforms_key_and_so_does_the_published_one():
    known = JAVA["privacy_oaep"]
    padding = OAEP(MGF1(hashes.SHA1()), hashes.SHA1(), None)
    # The published text is sealed for the merchant's key, as fields of answers are.
    assert MERCHANT.key.decrypt(b64decode(known["ciphertext_b64"]), padding).decode() == known["plaintext"]

    sealed = seal_field(MERCHANT.key.public_key(), "6222020000000000000")

    assert MERCHANT.key.decrypt(b64decode(sealed), padding).decode() == "6222020000000000000"


def test_fresh_keys_sign_as_the_published_ones_do():
    platform = Platform()
    merchant = merchant_from(platform.settings())

    header = authorization(merchant, "POST", "/v3/x?a=%7C", "正文".encode())

    parts = dict(part.split("=", 1) for part in header.removeprefix(f"{SCHEME} ").split(","))
    given = {name: value.strip('"') for name, value in parts.items()}
    message = f"POST\n/v3/x?a=%7C\n{given['timestamp']}\n{given['nonce_str']}\n正文\n".encode()
    platform.merchant_key.public_key().verify(b64decode(given["signature"]), message, PKCS1v15(), hashes.SHA256())
    assert given["serial_no"] == merchant.serial
    assert given["mchid"] == "1900000109"


def test_every_published_key_is_known_as_published():
    held = [
        private(JAVA["pem"]["merchant_private_key"]),
        private(JAVA["pem"]["wechat_pay_private_key"]),
        private(GO["signing"]["test_key_pem"]),
    ]

    assert all(is_published(key.public_key()) for key in held)
    assert is_published(public_key(GO["callback"]["platform_certificate_pem"], "k"))
    assert not is_published(Platform().merchant_key.public_key())
    assert {
        JAVA["merchant_serial"],
        JAVA["platform_serial"],
        GO["signing"]["serial"],
        GO["callback"]["headers"]["Wechatpay-Serial"],
    } <= TEST_SERIALS


def test_a_key_under_the_label_of_a_test_is_no_key():
    with pytest.raises(ValueError, match="K is no RSA private key"):
        private_key(JAVA["pem"]["merchant_private_key"], "k")
    assert private_key(loaded(JAVA["pem"]["merchant_private_key"]), "k").key_size == 2048
