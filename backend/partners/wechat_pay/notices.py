"""Notices: verified, opened and read, in this order; nothing is decrypted or decided before the signature is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.partners.paying.exact_json import Ambiguous, group, read_object, text
from backend.partners.paying.port import Notice, NoticeKind, PaymentNoticeInvalid
from backend.partners.wechat_pay.merchant import Merchant
from backend.partners.wechat_pay.platform_keys import PlatformKeys
from backend.partners.wechat_pay.reading import order_of, refund_of
from backend.partners.wechat_pay.sealing import Sealed, open_resource
from backend.partners.wechat_pay.verifying import signed

LARGEST = 65_536
"""Bytes of a notice; the platform's own are a few thousand."""
_LONGEST_ID = 64
_COMBINED = "combine_out_trade_no"


async def open_notice(merchant: Merchant, keys: PlatformKeys, headers: Mapping[str, str], body: bytes) -> Notice:
    """Verify, open and read a notice."""
    if len(body) > LARGEST:
        raise PaymentNoticeInvalid("too large")
    claim = signed(headers, body)
    claim.verify(await keys.key_of(claim.serial))
    try:
        envelope = read_object(body)
        identity, event = text(envelope, "id", most=_LONGEST_ID), text(envelope, "event_type")
        resource = group(envelope, "resource")
        plaintext = open_resource(merchant.api_v3_key, resource)
        return _read(identity, event, str(resource.get("original_type", "")), plaintext)
    except (Ambiguous, Sealed) as error:
        raise PaymentNoticeInvalid(str(error)) from None


def _read(identity: str, event: str, original: str, plaintext: bytes) -> Notice:
    try:
        decoded = plaintext.decode("utf-8")
    except UnicodeDecodeError:
        raise Ambiguous("no UTF-8 inside") from None
    if event.startswith("TRANSACTION.") and original == "transaction":
        content = read_object(plaintext)
        if _COMBINED not in content:  # several orders paid at once: we make none
            return Notice(
                identity=identity,
                kind=NoticeKind.ORDER,
                event=event,
                order=order_of(content),
                plaintext=decoded,
            )
    if event.startswith("REFUND.") and original == "refund":
        return _of_refund(identity, event, read_object(plaintext), decoded)
    return Notice(identity=identity, kind=NoticeKind.FOREIGN, event=event, plaintext=decoded)


def _of_refund(identity: str, event: str, content: dict[str, Any], decoded: str) -> Notice:
    refund = refund_of(content)
    if event.removeprefix("REFUND.") != refund.raw_state:
        raise Ambiguous("event_type and refund_status differ")
    return Notice(identity=identity, kind=NoticeKind.REFUND, event=event, refund=refund, plaintext=decoded)
