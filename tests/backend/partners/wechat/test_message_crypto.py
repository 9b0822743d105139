"""The envelope of message push: the published examples, fresh keys, and everything that does not open."""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from wechatpy.crypto import PrpCrypto
from wechatpy.crypto.cryptography import WeChatCipher

from backend.partners.wechat.errors import WechatPushSignatureInvalid
from backend.partners.wechat.message_crypto import Envelope, same, signature_of
from backend.partners.wechat.message_push import sealed_reply

FIXTURES = Path(__file__).parents[3] / "fixtures"
OFFICIAL: dict[str, Any] = json.loads((FIXTURES / "wechat_message_push.json").read_text())
KNOWN: dict[str, Any] = json.loads((FIXTURES / "wechat_message_crypto.json").read_text())


def envelope(config: dict[str, str]) -> Envelope:
    return Envelope(config["token"], config["encoding_aes_key"], config["appid"])


def a_fresh_envelope(appid: str = "wxfresh0000000001") -> Envelope:
    return Envelope(secrets.token_hex(8), b64encode(secrets.token_bytes(32)).decode().rstrip("="), appid)


def test_the_published_address_check_has_its_signature():
    check = OFFICIAL["url_verify"]

    signature = signature_of(OFFICIAL["config"]["token"], check["timestamp"], check["nonce"])

    assert signature == check["signature"]


def test_the_published_push_has_its_msg_signature_and_opens():
    push = OFFICIAL["safe_mode_incoming"]
    sealed = push["body"]["Encrypt"]
    query = push["query"]
    ours = envelope(OFFICIAL["config"])

    assert ours.signature(query["timestamp"], query["nonce"], sealed) == query["msg_signature"]
    assert ours.open(sealed) == push["expected"]["msg"]


def test_the_published_reply_is_made_byte_for_byte():
    reply = OFFICIAL["safe_mode_reply"]

    made = sealed_reply(
        envelope(OFFICIAL["config"]),
        reply["msg"],
        timestamp=reply["timestamp"],
        nonce=reply["nonce"],
        written="json",
        random16=reply["random16"].encode(),
    )

    assert json.loads(made) == {
        **reply["expected"],
        "TimeStamp": int(reply["timestamp"]),
        "Nonce": reply["nonce"],
    }


@pytest.mark.parametrize("case", KNOWN["cases"])
def test_known_messages_are_sealed_and_opened_byte_for_byte(case: dict[str, str]):
    ours = envelope(KNOWN["config"])

    assert ours.seal(case["msg"], random16=KNOWN["random16"].encode()) == case["Encrypt"]
    assert ours.open(case["Encrypt"]) == case["msg"]


def test_the_sorted_digest_is_the_known_one():
    assert signature_of(*KNOWN["sha1_sorted"]["parts"]) == KNOWN["sha1_sorted"]["sha1"]


@pytest.mark.parametrize("length", [1, 15, 16, 31, 32, 33, 5000])
def test_with_fresh_keys_two_hands_agree(length: int):
    ours, text = a_fresh_envelope(), "好" * length
    theirs = PrpCrypto(ours._key)

    assert ours.open(str(theirs.encrypt(text, ours.appid), "ascii")) == text
    assert theirs.decrypt(ours.seal(text), ours.appid) == text
    assert ours.seal(text) != ours.seal(text)


def test_a_message_for_another_app_does_not_open():
    ours = a_fresh_envelope()
    other = Envelope(ours.token, b64encode(ours._key).decode().rstrip("="), "wxother0000000001")

    with pytest.raises(WechatPushSignatureInvalid):
        ours.open(other.seal("hello"))


def test_a_message_under_another_key_does_not_open():
    with pytest.raises(WechatPushSignatureInvalid):
        a_fresh_envelope().open(a_fresh_envelope().seal("hello"))


@pytest.mark.parametrize(
    "sealed", ["", "not base64!", "AAAA", "A" * 22 + "==", b64encode(bytes(64)).decode(), "好", "=" * 8]
)
def test_what_is_no_sealed_message_does_not_open(sealed: str):
    with pytest.raises(WechatPushSignatureInvalid):
        a_fresh_envelope().open(sealed)


def test_every_changed_byte_is_noticed():
    ours = a_fresh_envelope()
    whole = b64decode(ours.seal("a message that is long enough for several blocks, as they are"))

    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1
        sealed = b64encode(bytes(broken)).decode()
        try:
            opened = ours.open(sealed)
        except WechatPushSignatureInvalid:
            continue
        # CBC alone cannot notice a change inside the text; the signature over Encrypt does.
        assert ours.signature("1", "2", sealed) != ours.signature("1", "2", b64encode(whole).decode())
        assert opened


def test_padding_that_is_not_uniform_does_not_open():
    ours = a_fresh_envelope()
    plain = secrets.token_bytes(16) + (2).to_bytes(4, "big") + b"hi" + ours.appid.encode()
    plain += bytes(range(1, 64 - len(plain))) + bytes([64 - len(plain)])
    sealed = b64encode(WeChatCipher(ours._key).encrypt(plain)).decode()

    with pytest.raises(WechatPushSignatureInvalid):
        ours.open(sealed)


@pytest.mark.parametrize("key", ["", "short", "A" * 42, "A" * 44, "!" * 43])
def test_a_key_of_the_wrong_kind_is_refused(key: str):
    with pytest.raises(ValueError):
        Envelope("token", key, "wx")


def test_signatures_are_compared_whole():
    assert same("abc", "abc")
    assert not same("abd", "abc")
    assert not same("", "abc")
    assert not same("好", "abc")
