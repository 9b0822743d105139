"""What the client receives as `encryptedData`: opened with the session key, accepted only with our
watermark."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from typing import Any

import msgspec
from cryptography.hazmat.primitives.padding import PKCS7

from backend.partners.wechat.errors import WechatSessionKeyInvalid
from backend.partners.wechat.message_crypto import aes_cbc, same

_AES_128 = 16


def open_user_data(encrypted: str, iv: str, *, session_key: str, appid: str) -> dict[str, Any]:
    """AES-128-CBC with PKCS#7; key and iv are base64.

    Raises WechatSessionKeyInvalid when it does not open, is not JSON, or its watermark names another app: the
    client has then a newer session key, or the data are not ours.
    """
    try:
        key, vector, sealed = (b64decode(text, validate=True) for text in (session_key, iv, encrypted))
        if len(key) != _AES_128 or len(vector) != _AES_128 or not sealed:
            raise ValueError("lengths")
        unpadder = PKCS7(128).unpadder()
        plain = unpadder.update(aes_cbc(key, vector).decrypt(sealed)) + unpadder.finalize()
        content = msgspec.json.decode(plain)
        marked = content["watermark"]["appid"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WechatSessionKeyInvalid("wechat", "encrypted-data", type(error).__name__) from None
    if not isinstance(marked, str) or not same(marked, appid):
        raise WechatSessionKeyInvalid("wechat", "watermark")
    return dict(content)


def raw_data_is_signed(raw_data: str, signature: str, *, session_key: str) -> bool:
    """Whether `signature` is that of wx.getUserInfo for these raw data: SHA-1 of both together."""
    # The protocol fixes SHA-1; the secret half makes it a (weak) message authentication.
    expected = hashlib.sha1((raw_data + session_key).encode(), usedforsecurity=False).hexdigest()
    return same(signature, expected)


def session_signature(session_key: str) -> str:
    """The signature of checkSessionKey and ResetUserSessionKey: HMAC-SHA256 of the empty message."""
    return hmac.digest(session_key.encode(), b"", "sha256").hex()
