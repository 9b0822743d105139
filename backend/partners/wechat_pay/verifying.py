"""Whether the platform signed this: the lines under `Wechatpay-Signature`, of an answer or a notice.

A signature that begins with `WECHATPAY/SIGNTEST/` is the platform's own test of our verification: it is wrong on
purpose, and refusing it is the right answer.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from prometheus_client import Counter

from backend import clock
from backend.partners.paying.port import PaymentNoticeExpired, PaymentNoticeSignatureInvalid
from backend.partners.wechat_pay.signing import SCHEME, lines

WINDOW = 300
"""Seconds by which the signed time may differ from ours."""
PROBE = "WECHATPAY/SIGNTEST/"
_HEADERS = ("wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial", "wechatpay-signature")
_SHAPES = {
    "wechatpay-timestamp": re.compile(r"[0-9]{1,12}"),
    "wechatpay-nonce": re.compile(r"[!-+\--~]{1,128}"),
    "wechatpay-serial": re.compile(r"[0-9A-Za-z_]{1,128}"),
    "wechatpay-signature": re.compile(r"[0-9A-Za-z+/=]{1,1024}"),
}
# No shape admits a comma or a space: a header that came twice is joined with both.

REFUSED = Counter(
    "zhangban_wechat_pay_signatures_refused_total",
    "Answers and notices whose signature was refused, by reason.",
    ("why",),
)


@dataclass(frozen=True)
class Signed:
    """The signed lines, their signature, and the claimed key. Nothing of it is verified yet."""

    serial: str
    timestamp: int
    message: bytes
    signature: bytes

    def verify(self, key: RSAPublicKey) -> None:
        """Raises PaymentNoticeSignatureInvalid when `key` did not sign this, PaymentNoticeExpired when it did so too
        long ago."""
        try:
            key.verify(self.signature, self.message, PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise forged("signature") from None
        if abs(clock.timestamp() - self.timestamp) > WINDOW:
            REFUSED.labels("stale").inc()
            raise PaymentNoticeExpired("stale")


def signed(headers: Mapping[str, str], body: bytes) -> Signed:
    """Read the headers of a signed body. Header names are in lower case.

    Raises PaymentNoticeSignatureInvalid for a header that is missing, came twice or cannot be one, for another kind
    of signature, and for a probe.
    """
    if headers.get("wechatpay-signature-type", SCHEME) != SCHEME:
        raise forged("signature-type")
    given = [headers.get(name, "") for name in _HEADERS]
    if given[3].startswith(PROBE):
        raise forged("probe")
    for name, value in zip(_HEADERS, given, strict=True):
        if not _SHAPES[name].fullmatch(value):
            raise forged(name.removeprefix("wechatpay-"))
    timestamp, nonce, serial, signature = given
    try:
        raw = b64decode(signature, validate=True)
    except ValueError:
        raise forged("signature") from None
    return Signed(serial, int(timestamp), lines(timestamp, nonce, body), raw)


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether anything claims to be a signature."""
    return any(name in headers for name in _HEADERS)


def forged(why: str) -> PaymentNoticeSignatureInvalid:
    """Count a refusal and return it. `why` is one of a few words."""
    REFUSED.labels(why).inc()
    return PaymentNoticeSignatureInvalid(why)
