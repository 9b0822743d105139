"""Checking what the merchant signs, signing and sealing what the platform sends: this sandbox's own hand."""

from __future__ import annotations

import re
import secrets
import string
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1

from backend import clock
from backend.partners.sandbox_keys import is_signed, rsa_key, sign
from backend.partners.wechat_pay.sandbox.errors import Refusal
from backend.partners.wechat_pay.sandbox.world import PayWorld

SCHEME = "WECHATPAY2-SHA256-RSA2048"
PROBE = "WECHATPAY/SIGNTEST/"
WINDOW = 300
"""Seconds by which a timestamp may differ from now."""
_PART = re.compile(r'([a-z_]+)="([^"]*)"(?:,|$)', re.ASCII)
_PARTS = {"mchid", "nonce_str", "timestamp", "serial_no", "signature"}
_LETTERS = string.ascii_letters + string.digits

SignatureFault = Literal[
    "none", "unsigned", "bad_signature", "probe", "stale", "future", "unknown_serial", "other_key", "doubled"
]


@dataclass(frozen=True)
class Claim:
    """The five parts of an Authorization."""

    mchid: str
    nonce_str: str
    timestamp: str
    serial_no: str
    signature: str


def check_request(world: PayWorld, authorization: str, *, method: str, target: str, body: bytes) -> None:
    """Accept a call of the merchant or refuse it. `target` is path and query exactly as they came.

    Raises Refusal 401 SIGN_ERROR.
    """
    claim = _claim(authorization)
    if claim.mchid != world.mchid or claim.serial_no != world.merchant_serial:
        raise _unsigned("商户号或证书序列号有误")
    if not claim.timestamp.isdecimal() or abs(int(claim.timestamp) - clock.timestamp()) > WINDOW:
        raise _unsigned("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    if not re.fullmatch(r"[0-9A-Za-z]{1,32}", claim.nonce_str) or claim.nonce_str in world.nonces:
        raise _unsigned("随机串无效或已使用")
    lines = (method.encode(), target.encode(), claim.timestamp.encode(), claim.nonce_str.encode(), body)
    if not is_signed(world.merchant_key, b"".join(line + b"\n" for line in lines), claim.signature):
        raise _unsigned("错误的签名，验签失败")
    world.nonces.add(claim.nonce_str)


def _claim(authorization: str) -> Claim:
    scheme, _, rest = authorization.partition(" ")
    found = _PART.findall(rest)
    parts = dict(found)
    written = ",".join(f'{name}="{value}"' for name, value in found)
    if scheme != SCHEME or written != rest or len(found) != len(_PARTS) or parts.keys() != _PARTS:
        raise _unsigned("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
    return Claim(**parts)


def _unsigned(message: str) -> Refusal:
    return Refusal(401, "SIGN_ERROR", message)


def check_pay_sign(world: PayWorld, given: dict[str, str], *, appid: str) -> bool:
    """Whether `given` is what wx.requestPayment needs, signed by the merchant for this app."""
    fields = (appid, given.get("timeStamp", ""), given.get("nonceStr", ""), given.get("package", ""))
    message = "".join(f"{each}\n" for each in fields).encode()
    return is_signed(world.merchant_key, message, given.get("paySign", ""))


def signed_headers(
    named: tuple[str, RSAPrivateKey], body: bytes, fault: SignatureFault = "none"
) -> list[tuple[str, str]]:
    """The Wechatpay-* headers over a body, for this very moment, with one fault if a test wants it."""
    serial, key = named
    if fault == "other_key":
        key = rsa_key("wechat-pay stranger")
    if fault == "unknown_serial":
        serial = secrets.token_hex(20).upper()
    moment = clock.timestamp() + {"stale": -WINDOW - 60, "future": WINDOW + 60}.get(fault, 0)
    nonce = random_text(32)
    over = b"something else" if fault == "bad_signature" else body
    signature = sign(key, f"{moment}\n{nonce}\n".encode() + over + b"\n")
    if fault == "probe":
        signature = PROBE + signature[len(PROBE) :]
    stamped = [("Wechatpay-Timestamp", str(moment)), ("Wechatpay-Nonce", nonce)]
    if fault == "unsigned":
        return stamped
    signed = [("Wechatpay-Signature", signature)] * (2 if fault == "doubled" else 1)
    return [*stamped, ("Wechatpay-Serial", serial), *signed, ("Wechatpay-Signature-Type", SCHEME)]


def seal(api_v3_key: str, text: str, associated_data: str) -> dict[str, str]:
    """AEAD_AES_256_GCM as certificates and notices carry it."""
    nonce = random_text(12)
    sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), text.encode(), associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": nonce,
        "associated_data": associated_data,
        "ciphertext": b64encode(sealed).decode(),
    }


def opened(key: RSAPrivateKey | None, sealed: object) -> str:
    """A field that a client sealed for us (RSA-OAEP, SHA-1). Raises ValueError when this key does not open it."""
    if key is None or not isinstance(sealed, str):
        raise ValueError("not sealed for a key of ours")
    scheme = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)
    return key.decrypt(b64decode(sealed, validate=True), scheme).decode()


def random_text(length: int) -> str:
    """Letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
