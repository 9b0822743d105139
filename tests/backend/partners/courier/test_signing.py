"""Signatures and seals, byte for byte, with the known keys and with fresh ones."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from hypothesis import given
from hypothesis import strategies as st

from backend.partners.courier.signing import ems_seal, kdniao_signature, kuaidi100_signature, sf_digest
from backend.settings import SettingsError

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/couriers.json").read_text("utf-8"))
JAVA_KEEPS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-*_")


def as_java_encodes(text: str) -> str:
    """java.net.URLEncoder, from its description."""
    return "".join(
        "+" if byte == 0x20 else chr(byte) if byte in JAVA_KEEPS else f"%{byte:02X}" for byte in text.encode()
    )


def md5_of(text: str) -> Any:
    return hashlib.md5(text.encode(), usedforsecurity=False)


def opened(sealed: str, key: str) -> str:
    """What EMS's gateway does with it."""
    assert sealed.startswith("|$4|")
    cipher = Cipher(SM4(b64decode(key)), modes.ECB()).decryptor()
    plain = cipher.update(b64decode(sealed[4:])) + cipher.finalize()
    return plain[: -plain[-1]].decode().removesuffix(key)


@pytest.mark.parametrize("name", ["push", "push_empty_salt"])
def test_the_known_pushes_of_kuaidi100_are_signed_so(name: str):
    case = VECTORS["kuaidi100"][name]

    assert kuaidi100_signature(case["param"], case["salt"]) == case["sign"]


def test_the_known_question_to_kuaidi100_is_signed_so():
    case = VECTORS["kuaidi100"]["query"]

    assert kuaidi100_signature(case["param"], case["key"], case["customer"]) == case["sign"]


def test_the_known_request_to_sf_is_signed_so():
    case = VECTORS["sf"]["digest"]

    assert sf_digest(case["msgData"], case["timestamp"], case["checkword"]) == case["msgDigest"]


def test_the_known_content_for_ems_is_sealed_so():
    case = VECTORS["ems"]

    assert ems_seal(case["content"], case["sign_key"]) == case["sealed"]


def test_the_known_data_of_kdniao_are_signed_so():
    case = VECTORS["kdniao"]

    assert kdniao_signature(case["data"], case["app_key"]) == case["sign"]


@given(st.text(max_size=60), st.text(max_size=20))
def test_fresh_contents_and_secrets_are_signed_by_the_same_rules(content: str, secret: str):
    made = md5_of(content + secret).hexdigest()
    raw = md5_of(as_java_encodes(f"{content}1{secret}")).digest()

    assert kuaidi100_signature(content, secret) == made.upper()
    assert kdniao_signature(content, secret) == b64encode(made.encode()).decode()
    assert sf_digest(content, "1", secret) == b64encode(raw).decode()


@given(st.text(max_size=80))
def test_what_is_sealed_with_a_fresh_key_opens_with_it(content: str):
    key = b64encode(secrets.token_bytes(16)).decode()

    assert opened(ems_seal(content, key), key) == content


@pytest.mark.parametrize("key", ["", "not base64!", "c2hvcnQ=", b64encode(b"x" * 32).decode()])
def test_a_key_that_cannot_seal_is_a_matter_of_settings(key: str):
    with pytest.raises(SettingsError, match="EMS_SIGN_KEY"):
        ems_seal("{}", key)
