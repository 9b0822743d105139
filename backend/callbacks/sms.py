"""Receipts of SMS gateways: pushed to an unguessable address, stored once, answered in the gateway's own format.

They are not signed. So they come to an address with an unguessable end, from the gateway's networks where those are
known, and the harm of a false one is bounded: `success` is only recorded beside a text that we sent, a failure only
makes the next channel be tried.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from backend import logs
from backend.callbacks import addressing
from backend.callbacks.events import SmsPushed
from backend.callbacks.inbound import RECEIVED, consume_push, log_refusal, store_push
from backend.database import is_contention, is_down, transaction
from backend.errors import Unavailable, raises
from backend.events import act_as, record
from backend.partners.sms import receipts
from backend.partners.sms.receipts import SmsReceipt, SmsReceiptsInvalid
from backend.partners.sms.tables import GATEWAYS, Gateway, load
from backend.settings import settings


def find_gateway(name: str, token: str, address: str) -> Gateway | None:
    """The gateway that may push to this address from there; None when there is no such address.

    A caller who guesses cannot distinguish a wrong token from a wrong name.
    """
    gateway = next((each for each in GATEWAYS if each == name), None)
    wanted, networks = settings().sms_push_token, settings().sms_push_networks
    if gateway is not None and addressing.admits(token, address, wanted=wanted, networks=networks):
        return gateway
    RECEIVED.labels("sms", "no-such-address").inc()
    facts = {"event": "push.address-unknown", "partner": gateway or "unknown"}
    logs.security.warning("SMS receipts pushed to an unknown address", extra=facts)
    return None


@raises(SmsReceiptsInvalid)
async def receive_sms(gateway: Gateway, body: bytes) -> tuple[int, bytes]:
    """Store what a gateway pushed; status and body of the answer in the gateway's format.

    A refused push leaves a line in the security log and a count. When it cannot be stored, the answer makes the gateway
    push it again.
    """
    act_as("partner", partner_of(gateway))
    table = load(gateway, settings().sms_tables)
    try:
        pushed = receipts.read(body, table)
    except SmsReceiptsInvalid as error:
        log_refusal(error, metric="sms", partner=gateway)
        raise
    try:
        new = await _store(gateway, pushed)
    except Exception as error:
        if not (isinstance(error, Unavailable) or is_down(error) or is_contention(error)):
            raise
        RECEIVED.labels("sms", "not-stored").inc()
        return 503, table.answers.not_taken.encode()
    RECEIVED.labels("sms", "new" if new else "repeated").inc()
    return 200, table.answers.taken.encode()


async def consume_sms_push(message_id: UUID) -> tuple[SmsReceipt, ...]:
    """The receipts of a push, marked as handled; none when it was deleted meanwhile."""
    return await consume_push(message_id, tuple[SmsReceipt, ...]) or ()


def partner_of(gateway: Gateway) -> str:
    """The name under which the gateway's pushes are stored."""
    return f"{gateway}-sms"


async def _store(gateway: Gateway, pushed: tuple[SmsReceipt, ...]) -> bool:
    """The same receipts in the same order are the same push, however its JSON was written."""
    message_id, identity = uuid7(), hashlib.sha256(msgspec.json.encode(pushed)).hexdigest()
    async with transaction():
        if not await store_push(message_id, partner_of(gateway), identity, pushed, event="sms-receipts"):
            return False
        await record(SmsPushed(message_id=message_id, gateway=gateway, receipts=len(pushed)))
    return True
