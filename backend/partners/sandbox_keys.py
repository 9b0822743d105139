"""RSA keys for the simulators of payment channels: made when first asked for, then kept as long as the process.

Nothing of it is known to anyone else, and a sandbox that starts anew has other keys.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

GOOD_FROM = datetime(2020, 1, 1, tzinfo=UTC)
GOOD_UNTIL = datetime(2049, 12, 31, tzinfo=UTC)
"""A platform certificate really lives five years; tests travel further."""


@cache
def rsa_key(name: str) -> RSAPrivateKey:
    """The 2048-bit key of this name in this process."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@cache
def serial(name: str) -> str:
    """A serial number of forty hexadecimal digits, the same for a name in this process."""
    return "5" + secrets.token_hex(20)[1:].upper()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and the key in it."""

    serial: str
    pem: str
    key: RSAPrivateKey


@cache
def certificate(name: str) -> Certificate:
    """The certificate of this name in this process."""
    key, number = rsa_key(name), serial(name)
    about = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(about)
        .issuer_name(about)
        .public_key(key.public_key())
        .serial_number(int(number, 16))
        .not_valid_before(GOOD_FROM)
        .not_valid_after(GOOD_UNTIL)
        .sign(key, SHA256())
    )
    return Certificate(number, made.public_bytes(Encoding.PEM).decode(), key)


def private_pem(key: RSAPrivateKey) -> str:
    """PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: RSAPrivateKey) -> str:
    """SubjectPublicKeyInfo PEM of the public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_private(pem: str) -> RSAPrivateKey:
    """The RSA key in a PEM. Raises ValueError when it is none."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """SHA-256 with RSA, PKCS#1 v1.5, in base64."""
    return b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def is_signed(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether `signature` (base64) is that key's over the message."""
    try:
        key.verify(b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, NotBase64, ValueError):
        return False
    return True
