"""What API v3 seals: notices and certificates with our APIv3 key (AEAD_AES_256_GCM), sensitive fields of requests
with the platform's key (RSA-OAEP with SHA-1, as the platform decrypts them)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALGORITHM = "AEAD_AES_256_GCM"
KEY_LENGTH = 32
NONCE_LENGTH = 12
MOST_ASSOCIATED = 64
"""The platform's own is shorter than 16."""


class Sealed(ValueError):
    """It does not open; the message says why and quotes nothing."""


def open_resource(key: bytes, resource: dict[str, Any]) -> bytes:
    """What is inside a `resource` or an `encrypt_certificate`.

    Raises Sealed when it is not the platform's shape, or was not sealed with our APIv3 key.
    """
    if len(key) != KEY_LENGTH:
        raise Sealed("an APIv3 key has 32 bytes")
    if resource.get("algorithm") != ALGORITHM:
        raise Sealed("another algorithm")
    nonce, associated = resource.get("nonce"), resource.get("associated_data") or ""
    ciphertext = resource.get("ciphertext")
    if not isinstance(nonce, str) or not isinstance(associated, str) or not isinstance(ciphertext, str):
        raise Sealed("a part is missing")
    if len(nonce.encode()) != NONCE_LENGTH or len(associated) > MOST_ASSOCIATED:
        raise Sealed("a part has another length")
    try:
        return AESGCM(key).decrypt(nonce.encode(), b64decode(ciphertext, validate=True), associated.encode())
    except (InvalidTag, ValueError):
        raise Sealed("not sealed with our key") from None


def seal_field(key: RSAPublicKey, text: str) -> str:
    """A name or an account number that only the platform shall read. Raises ValueError when it is too long."""
    padding = OAEP(MGF1(hashes.SHA1()), hashes.SHA1(), None)
    return b64encode(key.encrypt(text.encode(), padding)).decode()
