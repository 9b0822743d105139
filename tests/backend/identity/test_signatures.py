"""What an agency signs, and what no signature covers."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from backend.identity import signatures
from backend.identity.errors import SignatureMissing

SECRET = b64encode(b"k" * 32).decode()


def content(**changes: Any) -> bytes:
    parts = {
        "method": "POST",
        "path": "/v1/agency/cases",
        "query": "b=2&a=1",
        "timestamp": 1795200000,
        "nonce": "0123456789abcdef",
        "body": b"{}",
    }
    return signatures.canonical(**{**parts, **changes})


def test_six_lines_and_the_version_are_signed() -> None:
    assert content().decode().split("\n") == [
        "ZHANGBAN-1",
        "POST",
        "/v1/agency/cases",
        "a=1&b=2",
        "1795200000",
        "0123456789abcdef",
        hashlib.sha256(b"{}").hexdigest(),
    ]


def test_the_signature_is_an_hmac_that_anybody_can_compute() -> None:
    expected = b64encode(hmac.new(b"k" * 32, content(), hashlib.sha256).digest()).decode()

    assert signatures.sign(content(), SECRET, "hmac-sha256") == expected


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "ed25519"])
@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/v1/agency/cases/"},
        {"path": "/v1/agency%2Fcases"},
        {"query": "b=2&a=2"},
        {"query": "b=2"},
        {"query": "b=2&a=1&a=1"},
        {"timestamp": 1795200001},
        {"nonce": "0123456789abcdeg"},
        {"body": b"{ }"},
    ],
)
def test_changing_any_part_breaks_the_signature(algorithm: Any, change: dict[str, Any]) -> None:
    private = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    public = b64encode(private.public_key().public_bytes_raw()).decode()
    known = SECRET if algorithm == "hmac-sha256" else public
    signature = signatures.sign(content(), SECRET, algorithm)

    assert signatures.verify(content(), signature, known, algorithm)
    assert not signatures.verify(content(**change), signature, known, algorithm)


@pytest.mark.parametrize(
    "signature", ["", "!", "AAAA", "é", b64encode(b"x" * 32).decode(), b64encode(b"x" * 64).decode()]
)
@pytest.mark.parametrize("algorithm", ["hmac-sha256", "ed25519"])
def test_garbage_is_no_signature(signature: str, algorithm: str) -> None:
    public = b64encode(Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key().public_bytes_raw()).decode()

    assert not signatures.verify(content(), signature, public, algorithm)


def test_percent_signs_may_be_written_in_any_way() -> None:
    assert content(path="/v1/办件/%e5%8a%9e") == content(path="/v1/%E5%8A%9E%E4%BB%B6/办".encode())
    assert content(query="name=%E5%BC%A0&q=a+b") == content(query="q=a%20b&name=张")


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5), st.randoms())
def test_the_order_of_the_query_makes_no_difference(pairs: list[tuple[str, str]], random: Any) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    plain = [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in pairs]
    mixed = [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in shuffled]

    assert content(query=urlencode(plain)) == content(query=urlencode(mixed))


def test_a_query_that_is_no_text_can_be_signed_and_refused_like_any_other() -> None:
    assert content(query=b"\xff=%ff&&&=&%") == content(query=b"%25=&=&%FF=\xff")
    assert content(query=b"") == content(query="")


def headers(**changes: Any) -> list[tuple[bytes, bytes]]:
    signed = signatures.sign_request("GET", "/x", key="ak_0123", secret=SECRET)
    given = {**signed, **changes}
    return [(name.lower().encode(), value.encode()) for name, value in given.items() if value is not None]


def test_the_four_headers_are_read_in_any_order_and_case() -> None:
    raw = [(name.upper(), value) for name, value in reversed(headers())]

    assert signatures.parse_headers(raw).key == "ak_0123"


@pytest.mark.parametrize("name", ["Zhangban-Key", "Zhangban-Timestamp", "Zhangban-Nonce", "Zhangban-Signature"])
def test_a_header_that_is_missing_or_comes_twice_is_named(name: str) -> None:
    twice = [*headers(), *[each for each in headers() if each[0] == name.lower().encode()]]

    for raw in (headers(**{name: None}), twice):
        with pytest.raises(SignatureMissing) as refused:
            signatures.parse_headers(raw)
        assert refused.value.facts["headers"] == [name]


@pytest.mark.parametrize(
    "change",
    [
        {"Zhangban-Key": "x"},
        {"Zhangban-Key": "' OR 1=1 --"},
        {"Zhangban-Timestamp": "-1795200000"},
        {"Zhangban-Timestamp": "1795200000.5"},
        {"Zhangban-Timestamp": "１７９５２０００００"},
        {"Zhangban-Timestamp": "9" * 30},
        {"Zhangban-Nonce": "short"},
        {"Zhangban-Nonce": "n" * 65},
        {"Zhangban-Nonce": "0123456789abcde\n"},
        {"Zhangban-Signature": "A" * 129},
    ],
)
def test_a_header_of_another_form_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(SignatureMissing):
        signatures.parse_headers(headers(**change))


def test_a_whole_address_is_signed_by_its_path_and_query() -> None:
    fixed: dict[str, Any] = {"key": "ak_0123", "secret": SECRET, "timestamp": 1795200000, "nonce": "n" * 16}

    of_url = signatures.sign_request("GET", "https://zhangban.example/v1/agency/me?a=1", **fixed)

    assert of_url == signatures.sign_request("get", "/v1/agency/me?a=1", **fixed)
    assert len(b64decode(of_url["Zhangban-Signature"])) == 32
