"""RSA2, Alipay's signature: SHA256withRSA over the fields sorted by name and written `name=value&…`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from urllib.parse import quote_plus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey


def content_of(fields: Mapping[str, bytes], *, without: frozenset[str]) -> bytes:
    """The signed content: fields without a value, and those in `without`, left out."""
    return b"&".join(
        name.encode() + b"=" + value for name, value in sorted(fields.items()) if value and name not in without
    )


def signed_form(key: RSAPrivateKey, fields: Mapping[str, str]) -> str:
    """The fields, escaped, with their signature: the body of a call, and the order string of an app."""
    raw = {name: value.encode() for name, value in fields.items()}
    signature = sign(key, content_of(raw, without=frozenset()))
    pairs = [*((name, value) for name, value in sorted(fields.items()) if value), ("sign", signature)]
    return "&".join(f"{name}={quote_plus(value)}" for name, value in pairs)


def sign(key: RSAPrivateKey, content: bytes) -> str:
    """Base64 of the signature."""
    return b64encode(key.sign(content, PKCS1v15(), hashes.SHA256())).decode()


def fits(key: RSAPublicKey, content: bytes, signature: str) -> bool:
    """Whether Alipay signed exactly this."""
    try:
        key.verify(b64decode(signature, validate=True), content, PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True
