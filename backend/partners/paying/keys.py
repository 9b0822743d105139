"""RSA keys of payment channels as operators hold them: PEM or bare base64, in a setting or in a file.

An error names the setting; no text of a key ever reaches a message.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from backend.settings import Settings, SettingsError

SMALLEST = 2048
"""Bits of an RSA key."""

PUBLISHED = frozenset(
    {
        "49f044781fbf7ff57245d61ce8a67b9a45c6845f1ae92d3ab83576cf2778026e",
        "3ac067ab0ba946250a2ece380d1a67ea9aa5d6d7e33f93d2fffc0e1216ef9132",
        "8a5b82f18120806bb2c6b46e1a2f8687ceaa20a45bc2b649e37e6d9878336dc5",
    }
)
"""SHA-256 of the public halves of the keys that the public SDKs print in their tests: anyone can sign with them."""


def text_of(values: Settings, name: str) -> str:
    """The setting `name`, or what is in the file that `name_file` names; empty when neither is set.

    Raises SettingsError when both are set, or the file cannot be read.
    """
    inline, file = getattr(values, name), getattr(values, f"{name}_file")
    if inline and file:
        raise SettingsError(f"{name.upper()} and {name.upper()}_FILE are both set")
    if not file:
        return str(inline)
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{name.upper()}_FILE cannot be read") from None


def private_key(text: str, name: str) -> RSAPrivateKey:
    """The private key. Raises SettingsError naming the setting when it is none, or too short."""
    try:
        pem = text.strip()
        key = (
            load_pem_private_key(pem.encode(), None)
            if pem.startswith("-----BEGIN")
            else load_der_private_key(b64decode("".join(pem.split()), validate=True), None)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{name.upper()} is no RSA private key") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST:
        raise SettingsError(f"{name.upper()} is no RSA private key of {SMALLEST} bits or more")
    return key


def public_key(text: str, name: str) -> RSAPublicKey:
    """The public key, also out of a certificate. Raises SettingsError as `private_key` does."""
    key: object
    try:
        pem = text.strip()
        if pem.startswith("-----BEGIN CERTIFICATE"):
            key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        elif pem.startswith("-----BEGIN"):
            key = load_pem_public_key(pem.encode())
        else:
            key = load_der_public_key(b64decode("".join(pem.split()), validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{name.upper()} is no RSA public key") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST:
        raise SettingsError(f"{name.upper()} is no RSA public key of {SMALLEST} bits or more")
    return key


def is_published(key: RSAPublicKey) -> bool:
    """Whether the private half is published."""
    return digest_of(key) in PUBLISHED


def digest_of(key: RSAPublicKey) -> str:
    """SHA-256 of the key, in hex: distinguishes keys in logs."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
