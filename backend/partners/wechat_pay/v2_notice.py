"""The notice of a refund that was made in the merchant's console: XML of API v2, sealed with the v2 key.

Nothing signs it: that it opens with a key only we and the platform have is all there is, and an old one opens again. So
it is kept and shows that there is something to query, and the answer to the query decides. Its sealing
(AES-256-ECB, PKCS#7, key = MD5 of the v2 key in lower-case hex) and its fields are those of API v2 (退款结果通知).
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from backend import clock
from backend.partners.bodies import Bounds, Unreadable, text_of, xml_fields
from backend.partners.paying.exact_json import MOST_FEN
from backend.partners.paying.port import (
    ChannelRefund,
    ChannelRefundState,
    Notice,
    NoticeKind,
    PaymentNoticeInvalid,
    PaymentNoticeSignatureInvalid,
)

BOUNDS = Bounds(largest=65_536, deepest=4, most=100)
EVENT = "V2.REFUND"
ACCEPTED = b"<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
"""The answer that the platform expects; any other makes it repeat."""
_STATES = {
    "SUCCESS": ChannelRefundState.SUCCEEDED,
    "CHANGE": ChannelRefundState.ABNORMAL,
    "REFUNDCLOSE": ChannelRefundState.CLOSED,
}
_BLOCK = 128


def is_v2(body: bytes) -> bool:
    """Whether a push is XML of API v2, and not JSON of API v3."""
    return body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<"


def open_v2_notice(body: bytes, *, v2_key: str, merchant_id: str) -> Notice:
    """The notice, FOREIGN with the refund that it is about.

    Raises PaymentNoticeSignatureInvalid when it does not open with our v2 key, or none is configured;
    PaymentNoticeInvalid when it is no XML of this kind or another merchant's.
    """
    outer = _fields(body, root="xml")
    if outer.get("return_code") != "SUCCESS" or outer.get("mch_id") != merchant_id:
        raise PaymentNoticeInvalid("no refund of ours")
    sealed = outer.get("req_info")
    if not isinstance(sealed, str) or not sealed:
        raise PaymentNoticeInvalid("no req_info")
    if not v2_key:
        raise PaymentNoticeSignatureInvalid("no-v2-key")
    inner = _opened(sealed, v2_key)
    refund = _refund(_fields(inner, root="root"), merchant_id)
    identity = f"v2-{refund.refund_id}-{refund.raw_state}"
    return Notice(
        identity=identity, kind=NoticeKind.FOREIGN, event=EVENT, refund=refund, plaintext=inner.decode("utf-8")
    )


def _fields(body: bytes, *, root: str) -> dict[str, Any]:
    try:
        return xml_fields(text_of(body, BOUNDS), BOUNDS, root=root)
    except Unreadable as error:
        raise PaymentNoticeInvalid(str(error)) from None


def _opened(sealed: str, v2_key: str) -> bytes:
    key = hashlib.md5(v2_key.encode(), usedforsecurity=False).hexdigest().encode()
    try:
        raw = b64decode(sealed, validate=True)
        decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
        padded = decryptor.update(raw) + decryptor.finalize()
        unpadder = PKCS7(_BLOCK).unpadder()
        plain = unpadder.update(padded) + unpadder.finalize()
        plain.decode("utf-8")
    except ValueError:
        raise PaymentNoticeSignatureInvalid("v2-key") from None
    return plain


def _refund(content: dict[str, Any], merchant_id: str) -> ChannelRefund:
    raw = _text(content, "refund_status")
    if raw not in _STATES:
        raise PaymentNoticeInvalid("refund_status is unknown")
    return ChannelRefund(
        number=_text(content, "out_refund_no"),
        payment_number=_text(content, "out_trade_no"),
        state=_STATES[raw],
        merchant_id=merchant_id,
        refund_id=_text(content, "refund_id"),
        transaction_id=_text(content, "transaction_id"),
        amount_fen=_fen(content, "refund_fee"),
        total_fen=_fen(content, "total_fee"),
        account=str(content.get("refund_recv_accout") or "") or None,  # misspelt on the wire
        succeeded_at=_at(content.get("success_time")),
        raw_state=raw,
    )


def _text(content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 64 or not value.isprintable():
        raise PaymentNoticeInvalid(f"{name} is no text")
    return value


def _fen(content: dict[str, Any], name: str) -> int:
    value = _text(content, name)
    if not re.fullmatch(r"[0-9]{1,13}", value) or not 0 < int(value) <= MOST_FEN:
        raise PaymentNoticeInvalid(f"{name} is no amount")
    return int(value)


def _at(value: object) -> datetime | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        raise PaymentNoticeInvalid("success_time is no instant") from None
