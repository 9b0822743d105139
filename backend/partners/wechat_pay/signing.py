"""Our signatures: over requests (`WECHATPAY2-SHA256-RSA2048`) and over what `wx.requestPayment` is given.

The lines that are signed, and the header, are written down in the platform's documentation of API v3 (签名生成).
"""

from __future__ import annotations

import secrets
from base64 import b64encode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from backend import clock
from backend.partners.wechat_pay.merchant import Merchant

SCHEME = "WECHATPAY2-SHA256-RSA2048"


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """RSA PKCS#1 v1.5 over SHA-256, base64."""
    return b64encode(key.sign(message, PKCS1v15(), hashes.SHA256())).decode()


def lines(*parts: str | bytes) -> bytes:
    """Every part followed by a line feed: what API v3 signs, in either direction."""
    return b"".join((part.encode() if isinstance(part, str) else part) + b"\n" for part in parts)


def authorization(
    merchant: Merchant, method: str, target: str, body: bytes, *, timestamp: str = "", nonce: str = ""
) -> str:
    """The `Authorization` of a request whose target (path and query) and body are sent exactly like this.

    `timestamp` and `nonce` are only given to recompute a published example.
    """
    timestamp, nonce = timestamp or str(clock.timestamp()), nonce or secrets.token_hex(16).upper()
    signature = sign(merchant.key, lines(method, target, timestamp, nonce, body))
    return (
        f'{SCHEME} mchid="{merchant.mchid}",nonce_str="{nonce}",timestamp="{timestamp}",'
        f'serial_no="{merchant.serial}",signature="{signature}"'
    )


def pay_parameters(merchant: Merchant, prepay_id: str, *, timestamp: str = "", nonce: str = "") -> dict[str, str]:
    """The argument of `wx.requestPayment` for an order, signed for our app."""
    timestamp, nonce = timestamp or str(clock.timestamp()), nonce or secrets.token_hex(16).upper()
    package = f"prepay_id={prepay_id}"
    return {
        "timeStamp": timestamp,
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": sign(merchant.key, lines(merchant.appid, timestamp, nonce, package)),
    }
