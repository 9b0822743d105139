"""encryptedData is opened with the session key and accepted only with our watermark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.partners.sandbox import Sandbox
from backend.partners.wechat.errors import WechatSessionKeyInvalid
from backend.partners.wechat.sandbox.test_control import sealed_user_data
from backend.partners.wechat.user_data import open_user_data, raw_data_is_signed, session_signature

KNOWN: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/wechat_user_data.json").read_text())
APPID = "wx0000000000000001"


def opened(**changes: str) -> dict[str, Any]:
    given = {
        "encrypted": KNOWN["encryptedData"],
        "iv": KNOWN["iv"],
        "session_key": KNOWN["session_key"],
        "appid": APPID,
    }
    return open_user_data(**{**given, **changes})


def test_known_data_open():
    assert opened() == json.loads(KNOWN["plaintext_utf8"])


def test_data_of_another_app_are_refused():
    with pytest.raises(WechatSessionKeyInvalid):
        opened(appid="wx0000000000000002")


@pytest.mark.parametrize("name", ["encrypted", "iv", "session_key"])
@pytest.mark.parametrize("value", ["", "AAAA", "not base64", "AAECAwQFBgcICQoLDA0ODg==", "好"])
def test_everything_that_does_not_fit_is_refused_alike(name: str, value: str):
    with pytest.raises(WechatSessionKeyInvalid):
        opened(**{name: value})


def test_raw_data_are_signed_with_the_session_key():
    case = KNOWN["raw_data_signature"]

    assert raw_data_is_signed(case["rawData"], case["sha1"], session_key=case["session_key"])
    assert not raw_data_is_signed(case["rawData"] + " ", case["sha1"], session_key=case["session_key"])


def test_the_session_signature_is_the_known_one():
    case = KNOWN["session_signature"]

    assert session_signature(case["session_key"]) == case["hmac_sha256_hex"]


def test_what_the_sandbox_phone_seals_opens_here(sandbox: Sandbox):
    someone = sandbox.world.persona("陈静")
    sandbox.world.mint("login", someone)

    sealed = sealed_user_data(sandbox.world, someone, {"nickName": "静静"})

    appid = sandbox.world.mini_program.appid
    told = open_user_data(sealed["encryptedData"], sealed["iv"], session_key=someone.session_key, appid=appid)
    assert told["nickName"] == "静静"
