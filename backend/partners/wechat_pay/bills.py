"""The day's trade bill: requested, downloaded, unpacked, compared with its hash, read."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import zlib
from datetime import date

from backend import clock
from backend.partners.paying.exact_json import Ambiguous, text
from backend.partners.paying.port import (
    Bill,
    ChannelBillInvalid,
    ChannelBillNotReady,
    PartnerRefused,
    PartnerUnreachable,
)
from backend.partners.wechat_pay.api import WeChatPayApi
from backend.partners.wechat_pay.bill_reading import Unreadable, read_bill
from backend.partners.wechat_pay.errors import NAME, OF_BILLS
from backend.partners.wechat_pay.orders import sub_merchant

_GZIP = b"\x1f\x8b"


async def bill(api: WeChatPayApi, day: date, sub_merchant_id: str | None, *, limit: int) -> Bill:
    """Fetch the bill of a day. `limit` is the most bytes that are unpacked."""
    query = {"bill_date": day.isoformat(), "bill_type": "ALL", "tar_type": "GZIP"}
    if api.merchant.partner_mode and sub_merchant_id is not None:
        query["sub_mchid"] = sub_merchant(sub_merchant_id)
    try:
        answer = await api.get("bill", "/v3/bill/tradebill", query, errors=OF_BILLS)
    except PartnerRefused as error:
        if day >= clock.today() and error.partner_code in ("INVALID_REQUEST", "PARAM_ERROR"):
            raise ChannelBillNotReady(NAME, error.partner_code) from None  # the day is not over
        raise
    try:
        kind, digest = text(answer, "hash_type"), text(answer, "hash_value", most=128)
        address = text(answer, "download_url", most=2048)
    except Ambiguous as error:
        raise PartnerUnreachable(NAME, "unreadable", str(error), maybe_done=True) from None
    if kind != "SHA1":
        raise ChannelBillInvalid(NAME, "hash-type")
    packed = await api.download(address, errors=OF_BILLS)
    # A large bill takes seconds of work: beside the loop.
    return await asyncio.to_thread(_checked, packed, day, digest, api.merchant.mchid, limit)


def _checked(packed: bytes, day: date, digest: str, merchant_id: str, limit: int) -> Bill:
    raw = unpacked(packed, limit)
    found = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(found, digest.lower()):
        raise ChannelBillInvalid(NAME, "hash")
    try:
        return Bill(day=day, digest=found, rows=read_bill(raw, merchant_id=merchant_id))
    except Unreadable as error:
        raise ChannelBillInvalid(NAME, "rows", str(error)) from None


def unpacked(packed: bytes, limit: int) -> bytes:
    """The file itself, whether it came packed or plain. Raises ChannelBillInvalid when it is broken or too large."""
    if not packed.startswith(_GZIP):
        return packed
    raw = bytearray()
    rest = packed
    while rest:  # gzip may be several parts, one behind the other
        part = zlib.decompressobj(wbits=31)
        try:
            raw += part.decompress(rest, limit - len(raw) + 1)
        except zlib.error:
            raise ChannelBillInvalid(NAME, "packing") from None
        if len(raw) > limit:
            raise ChannelBillInvalid(NAME, "too-large")
        if not part.eof:
            raise ChannelBillInvalid(NAME, "packing")
        rest = part.unused_data
    return bytes(raw)
