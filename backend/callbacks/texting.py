"""Receipts of SMS gateways: an address that nobody guesses, stored once, answered in the gateway's dialect.

Nobody signs them. So they come to an address with an unguessable end, from the gateway's networks where those are
known, and the worst that a false one can do is bounded: `success` is only written beside a text that we sent, a
failure only makes the next way be tried.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from backend import clock, logs
from backend.callbacks import addressing
from backend.callbacks.events import SmsPushed
from backend.callbacks.receiving import RECEIVED, SEALED
from backend.crypto import open_sealed, seal
from backend.database import fetch_row, fetch_value, is_contention, is_down, transaction
from backend.errors import Unavailable
from backend.events import act_as, record
from backend.partners.sms import receipts
from backend.partners.sms.receipts import SmsReceipt, SmsReceiptsInvalid
from backend.partners.sms.tables import GATEWAYS, Gateway, load
from backend.settings import settings

_STORE = """
INSERT INTO inbound_messages (id, created_at, partner, partner_id, event, body, state, received_at)
VALUES ($1, $2, $3, $4, 'sms-receipts', $5, 'received', $2) ON CONFLICT DO NOTHING RETURNING id
"""
_TAKE = """
UPDATE inbound_messages SET state = 'handled', handled_at = coalesce(handled_at, $2) WHERE id = $1 RETURNING body
"""


def addressed(name: str, token: str, address: str) -> Gateway | None:
    """The gateway that may push to this address from there; None when there is no such address.

    Whoever guesses cannot tell a wrong token from a wrong name.
    """
    gateway = next((each for each in GATEWAYS if each == name), None)
    wanted, networks = settings().sms_push_token, settings().sms_push_networks
    if gateway is not None and addressing.admits(token, address, wanted=wanted, networks=networks):
        return gateway
    RECEIVED.labels("sms", "no-such-address").inc()
    logs.security.warning("receipts of texts to no address of ours", extra={"partner": gateway or "unknown"})
    return None


async def receive_sms(gateway: Gateway, body: bytes) -> tuple[int, bytes]:
    """Take what a gateway pushed; status and body of the answer in its own words, after it was stored.

    Raises SmsReceiptsInvalid: what is refused leaves a line in the security log and a count. When we cannot store it,
    the gateway is told to come again.
    """
    act_as("partner", partner_of(gateway))
    table = load(gateway, settings().sms_tables)
    try:
        told = receipts.read(body, table)
    except SmsReceiptsInvalid as trouble:
        RECEIVED.labels("sms", trouble.code).inc()
        logs.security.warning("push refused", extra={"partner": gateway, "why": trouble.code, "what": trouble.why})
        raise
    try:
        new = await _store(gateway, told)
    except Exception as error:
        if not (isinstance(error, Unavailable) or is_down(error) or is_contention(error)):
            raise
        RECEIVED.labels("sms", "not-stored").inc()
        return 503, table.answers.not_taken.encode()
    RECEIVED.labels("sms", "new" if new else "repeated").inc()
    return 200, table.answers.taken.encode()


async def take_sms(message_id: UUID) -> tuple[SmsReceipt, ...]:
    """The receipts of a push, marked as handled. None of them when it has been forgotten."""
    row = await fetch_row(_TAKE, message_id, clock.now())
    if row is None:
        return ()
    return msgspec.json.decode(open_sealed(row["body"], where=SEALED, row=message_id), type=tuple[SmsReceipt, ...])


def partner_of(gateway: Gateway) -> str:
    """Under which name the gateway's pushes are kept."""
    return f"{gateway}-sms"


async def _store(gateway: Gateway, told: tuple[SmsReceipt, ...]) -> bool:
    """The same receipts in the same order are the same push, however its JSON was written."""
    message_id, now, written = uuid7(), clock.now(), msgspec.json.encode(told)
    sealed = seal(written.decode(), where=SEALED, row=message_id)
    identity = hashlib.sha256(written).hexdigest()
    async with transaction():
        if await fetch_value(_STORE, message_id, now, partner_of(gateway), identity, sealed) is None:
            return False
        await record(SmsPushed(message_id=message_id, gateway=gateway, receipts=len(told)))
    return True
