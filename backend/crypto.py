"""Personal data at rest: sealed with a key ring, found again by a keyed fingerprint, masked on the way out.

A sealed value is `v1.<cipher>.<key id>.<nonce and ciphertext>`; it is bound to its column and row, so that it
cannot be moved. Fingerprints are keyed and differ per column: an unkeyed hash of an id number can be reversed in
milliseconds, because only a few thousand candidates remain once the birthday is guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from base64 import b64decode, urlsafe_b64encode
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from backend.settings import DEVELOPMENT_SECRET, SettingsError, settings

NONCE = 12
TAG = 16
FINGERPRINT_BYTES = 16


class SealBroken(Exception):
    """The sealed value was changed, moved to another row, or its key is gone. Nothing of it is given out."""


@lru_cache(maxsize=8)
def _ring(text: str, name: str) -> dict[str, bytes]:
    if text == DEVELOPMENT_SECRET:
        return {"dev": hashlib.sha256(f"zhangban {name}".encode()).digest()}
    ring: dict[str, bytes] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        kid, _, key = entry.partition(":")
        try:
            ring[kid] = bytes.fromhex(key)
        except ValueError as error:
            raise SettingsError(f"{name}: key {kid!r} is not hexadecimal") from error
        if len(ring[kid]) != 32 or not kid.isalnum():
            raise SettingsError(f"{name}: key {kid!r} must be 32 bytes with an alphanumeric id")
    if not ring:
        raise SettingsError(f"{name} holds no key")
    return ring


def data_ring() -> dict[str, bytes]:
    """Keys that open sealed values, the current one first. Raises SettingsError when the setting is malformed."""
    return _ring(settings().data_keys, "DATA_KEYS")


def fingerprint_ring() -> dict[str, bytes]:
    """Keys of the blind indexes, the current one first."""
    return _ring(settings().fingerprint_keys, "FINGERPRINT_KEYS")


@lru_cache(maxsize=256)
def _derived(key: bytes, purpose: str, size: int) -> bytes:
    return hmac.digest(key, purpose.encode(), "sha256")[:size]


def _mode(cipher: str, key: bytes, nonce: bytes, tag: bytes | None) -> Cipher[modes.GCM]:
    if cipher == "sm4-gcm":
        return Cipher(algorithms.SM4(_derived(key, "sm4", 16)), modes.GCM(nonce, tag))
    if cipher == "aes-gcm":
        return Cipher(algorithms.AES(_derived(key, "aes", 32)), modes.GCM(nonce, tag))
    raise SealBroken("unknown cipher")


def seal(text: str, *, where: str, row: UUID | str) -> str:
    """Seal a value for column `where` ("residents.phone") of the row with this id."""
    cipher = settings().data_cipher
    kid, key = next(iter(data_ring().items()))
    nonce = os.urandom(NONCE)
    encryptor = _mode(cipher, key, nonce, None).encryptor()
    encryptor.authenticate_additional_data(f"{where}|{row}".encode())
    body = encryptor.update(text.encode()) + encryptor.finalize()
    return f"v1.{cipher}.{kid}.{urlsafe_b64encode(nonce + body + encryptor.tag).decode()}"


def open_sealed(sealed: str, *, where: str, row: UUID | str) -> str:
    """The value that was sealed for this column and row.

    Raises SealBroken when it was changed, moved, or its key is not on the ring.
    """
    try:
        version, cipher, kid, packed = sealed.split(".", 3)
        raw = b64decode(packed, altchars=b"-_", validate=True)
    except ValueError as error:
        raise SealBroken("not a sealed value") from error
    key = data_ring().get(kid)
    if version != "v1" or key is None or len(raw) < NONCE + TAG:
        raise SealBroken(f"no key {kid!r} for a value of {where}")
    decryptor = _mode(cipher, key, raw[:NONCE], raw[-TAG:]).decryptor()
    decryptor.authenticate_additional_data(f"{where}|{row}".encode())
    try:
        return (decryptor.update(raw[NONCE:-TAG]) + decryptor.finalize()).decode()
    except InvalidTag as error:
        raise SealBroken(f"a value of {where} was changed or moved") from error


def sealed_with(sealed: str) -> str:
    """The id of the key that a value is sealed with."""
    return sealed.split(".", 3)[2]


def normalised(text: str) -> str:
    """One spelling per value: full-width digits, spaces, dashes and a lower-case x make no difference."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(c for c in plain if not c.isspace() and c not in "-‐‑–—").upper()


def _keyed(key: bytes, domain: str, text: str) -> str:
    message = f"{domain}\x00{text}".encode()
    if settings().data_cipher == "sm4-gcm":
        mac = HMAC(_derived(key, domain, 32), hashes.SM3())
        mac.update(message)
        return mac.finalize()[:FINGERPRINT_BYTES].hex()
    return hmac.digest(_derived(key, domain, 32), message, "sha256")[:FINGERPRINT_BYTES].hex()


def fingerprint(text: str, domain: str) -> str:
    """The blind index of a value: 32 hex digits, different for each domain ("phone", "id-number", "openid").

    Identifiers that differ only in spelling have one fingerprint; an openid is taken as it is.
    """
    value = text if domain in {"openid", "unionid"} else normalised(text)
    return _keyed(next(iter(fingerprint_ring().values())), domain, value)


def fingerprints(text: str, domain: str) -> list[str]:
    """The value under every key of the ring, the current one first: for lookups while keys change."""
    value = text if domain in {"openid", "unionid"} else normalised(text)
    return [_keyed(key, domain, value) for key in fingerprint_ring().values()]


def mask_name(name: str) -> str:
    """张*, 欧阳*, 阿***·买: the first character of a name (two of a long one) and stars."""
    if len(name) <= 1:
        return "*"
    if len(name) < 4:
        return name[0] + "*" * (len(name) - 1)
    return name[0] + "*" * (len(name) - 2) + name[-1]


def mask_phone(phone: str) -> str:
    """138****5678; anything shorter than eight digits shows only its last two."""
    if len(phone) < 8:
        return "*" * max(0, len(phone) - 2) + phone[-2:]
    return f"{phone[:3]}{'*' * (len(phone) - 7)}{phone[-4:]}"


def mask_id_number(number: str, *, to_owner: bool = False) -> str:
    """First and last character on lists, 前3后4 only for the owner; never the birthday."""
    head, tail = (3, 4) if to_owner and len(number) >= 15 else (1, 1)
    if len(number) <= head + tail:
        return "*" * len(number)
    return number[:head] + "*" * (len(number) - head - tail) + number[-tail:]
