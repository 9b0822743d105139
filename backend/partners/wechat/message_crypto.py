"""The envelope of WeChat's message push: signatures and AES, both directions.

Rules: WeChat's documentation of 消息推送. The block cipher, the padding of 32 and the sorted SHA-1 are wechatpy's;
what it leaves out is here: constant-time comparison, every byte of the padding checked, and one error for everything
that does not open.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from backend.partners.wechat.errors import WechatPushSignatureInvalid

# Functions import what they need of wechatpy: the package always loads its API client, and requests with it.
if TYPE_CHECKING:
    from wechatpy.crypto.cryptography import WeChatCipher

_BLOCK = 16
_RANDOM = 16
_LENGTH = 4


def signature_of(*parts: str) -> str:
    """SHA-1, in hex, of the parts sorted and put together. Which parts depends on what is signed."""
    from wechatpy.utils import WeChatSigner

    signer = WeChatSigner()
    signer.add_data(*parts)
    return str(signer.signature)


def aes_cbc(key: bytes, iv: bytes | None = None) -> WeChatCipher:
    """The block cipher of WeChat: AES-CBC; without an `iv`, the first half of the key."""
    from wechatpy.crypto.cryptography import WeChatCipher

    return WeChatCipher(key, iv)


def same(given: str, expected: str) -> bool:
    """Compare without telling by the time it takes how much was right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


class Envelope:
    """Seals and opens messages of one account. `aes_key` is the EncodingAESKey of the console, 43 characters.

    Raises ValueError when the key is not 32 bytes in base64.
    """

    def __init__(self, token: str, aes_key: str, appid: str) -> None:
        key = b64decode(aes_key + "=")
        if len(aes_key) != 43 or len(key) != 32:
            raise ValueError("an EncodingAESKey is 43 characters of base64")
        self.token = token
        self.appid = appid
        self._key = key

    def signature(self, timestamp: str, nonce: str, encrypted: str) -> str:
        """The `msg_signature` of an encrypted message."""
        return signature_of(self.token, timestamp, nonce, encrypted)

    def seal(self, text: str, *, random16: bytes | None = None) -> str:
        """The message, encrypted for this account; `random16` is only given to recompute a published
        example."""
        from wechatpy.crypto.pkcs7 import PKCS7Encoder

        message = text.encode()
        plain = (
            (random16 or secrets.token_bytes(_RANDOM))
            + len(message).to_bytes(_LENGTH, "big")
            + message
            + self.appid.encode()
        )
        return b64encode(aes_cbc(self._key).encrypt(PKCS7Encoder.encode(plain))).decode()

    def open(self, encrypted: str) -> str:
        """The message inside. Raises WechatPushSignatureInvalid for what was not sealed with this key for this
        appid."""
        try:
            sealed = b64decode(encrypted, validate=True)
        except ValueError as error:
            raise WechatPushSignatureInvalid("not base64") from error
        if not sealed or len(sealed) % _BLOCK:
            raise WechatPushSignatureInvalid("not whole blocks")
        plain = _unpadded(aes_cbc(self._key).decrypt(sealed))
        length = int.from_bytes(plain[_RANDOM : _RANDOM + _LENGTH], "big")
        body = plain[_RANDOM + _LENGTH :]
        message, appid = body[:length], body[length:]
        if len(message) != length or not hmac.compare_digest(appid, self.appid.encode()):
            raise WechatPushSignatureInvalid("not for this app")
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            raise WechatPushSignatureInvalid("not UTF-8 inside") from error


def _unpadded(plain: bytes) -> bytes:
    from wechatpy.crypto.pkcs7 import PKCS7Encoder

    padding = plain[-1]
    if not 1 <= padding <= PKCS7Encoder.block_size or plain[-padding:] != bytes([padding]) * padding:
        raise WechatPushSignatureInvalid("padding")
    return plain[:-padding]
