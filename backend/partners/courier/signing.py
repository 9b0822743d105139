"""How each courier signs or seals, as its documents and samples say; the vectors are tests."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from urllib.parse import quote_plus

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.padding import PKCS7

from backend.settings import SettingsError

SEALED = "|$4|"
"""What a text sealed by EMS's manner begins with."""


def kuaidi100_signature(param: str, *secrets: str) -> str:
    """MD5 over the text and what is put behind it, 32 hexadecimal digits in upper case."""
    return _md5(param + "".join(secrets)).hex().upper()


def sf_digest(data: str, timestamp: str, checkword: str) -> str:
    """`msgDigest` of a request of 顺丰: base64 of the raw MD5 over the text as Java's URLEncoder writes it."""
    encoded = quote_plus(data + timestamp + checkword, safe="*").replace("~", "%7E")
    return b64encode(_md5(encoded)).decode()


def kdniao_signature(data: str, app_key: str) -> str:
    """`DataSign` of 快递鸟: base64 of the 32 lower-case hexadecimal digits, not of the raw digest."""
    return b64encode(_md5(data + app_key).hex().encode()).decode()


def ems_key(sign_key: str) -> bytes:
    """The 16 bytes of a key. Raises SettingsError."""
    try:
        key = b64decode(sign_key, validate=True)
    except (NotBase64, ValueError):
        key = b""
    if len(key) != 16:
        raise SettingsError("EMS_SIGN_KEY must be base64 of 16 bytes")
    return key


def ems_seal(content: str, sign_key: str) -> str:
    """`logitcsInterface` of EMS: the text with the key's text behind it, SM4-ECB. Raises SettingsError."""
    padder = PKCS7(128).padder()
    plain = padder.update((content + sign_key).encode()) + padder.finalize()
    # ECB is what their gateway opens; the connection's TLS is what keeps the content.
    cipher = Cipher(SM4(ems_key(sign_key)), modes.ECB()).encryptor()
    return SEALED + b64encode(cipher.update(plain) + cipher.finalize()).decode()


def _md5(text: str) -> bytes:
    # Their choice, not ours: what protects us is that the secret is in the text, and TLS around it.
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()
