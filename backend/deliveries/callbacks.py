"""Couriers' pushes: verified or not, stored once and answered at once; subscribers do the work.

Partners that sign nothing push to an address that cannot be guessed, from known networks, and the end of a parcel that
they report (signed for, returned, lost) stays unconfirmed until a query confirms it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from prometheus_client import Counter
from uuid_utils.compat import uuid7

from backend import clock, jobs, logs
from backend.callbacks import addressing
from backend.crypto import open_sealed, seal
from backend.database import fetch_row, fetch_value, is_contention, is_down, transaction
from backend.deliveries import nodes, tracking, unmatched
from backend.deliveries.events import CourierPushed
from backend.errors import DomainError, Unavailable
from backend.events import EventMeta, act_as, record
from backend.partners.courier.port import (
    CourierPush,
    CourierPushInvalid,
    CourierPushSignatureInvalid,
    Node,
    PushAnswer,
    Track,
    Tracking,
)
from backend.settings import settings

LARGEST = 524_288
"""Bytes of a push; a journey of a thousand nodes is smaller."""
MOST_TRACKS = 100
SEALED = "inbound_messages.body"
RECEIVED = Counter("zhangban_courier_pushes_total", "Pushes of couriers by outcome.", ("partner", "outcome"))

_STORE = """
INSERT INTO inbound_messages (id, created_at, partner, partner_id, event, body, state, received_at)
VALUES ($1, $2, $3, $4, 'track', $5, 'received', $2) ON CONFLICT DO NOTHING RETURNING id
"""
_HANDLE = """
UPDATE inbound_messages SET state = 'handled', handled_at = coalesce(handled_at, $2) WHERE id = $1
RETURNING partner, body
"""


class StoredPush(Struct, frozen=True, kw_only=True):
    """A push as it is stored, sealed: the tracks that were read, and the body as received."""

    signed: bool
    tracks: tuple[Track, ...]
    plaintext: str


def find_tracker(
    name: str, trackers: Mapping[str, Tracking], *, token: str | None = None, address: str = ""
) -> Tracking | None:
    """Return the partner that may push to this path from this network address; None when there is no such path.

    A partner that signs has a path without a token, one that does not has only the path with the token. The answer
    does not distinguish a wrong token from a wrong name.
    """
    tracker = trackers.get(name)
    if tracker is not None and tracker.pushes:
        if tracker.signs and token is None:
            return tracker
        if not tracker.signs and token is not None and _is_admitted(token, address):
            return tracker
    RECEIVED.labels(name if tracker else "unknown", "no-such-address").inc()
    facts = {"partner": nodes.storable_text(name, 32)}
    logs.security.warning("push to an unknown address", extra={"event": "push.address-unknown", **facts})
    return None


async def ingest_push(tracker: Tracking, headers: Mapping[str, str], body: bytes) -> PushAnswer:
    """Store what a courier pushed; return the answer in its protocol.

    Raises CourierPushSignatureInvalid and CourierPushInvalid: a refusal leaves a line in the security log and a
    count. When the push cannot be stored, the answer has the partner repeat it.
    """
    act_as("partner", tracker.name)
    try:
        push = _plausible(tracker.open_push(headers, body))
    except DomainError as error:
        _refused(tracker.name, error)
        raise
    future = [node.identity for track in push.tracks for node in track.nodes if node.identity and nodes.is_future(node)]
    try:
        new = await _store(tracker.name, push)
    except Exception as error:
        if not (isinstance(error, Unavailable) or is_down(error) or is_contention(error)):
            raise
        RECEIVED.labels(tracker.name, "not-stored").inc()
        return tracker.answer(push, accepted=False)
    RECEIVED.labels(tracker.name, "new" if new else "repeated").inc()
    return tracker.answer(push, accepted=True, refused=future)


def _is_admitted(token: str, address: str) -> bool:
    token_wanted, networks = settings().courier_push_token, settings().courier_push_networks
    return addressing.admits(token, address, wanted=token_wanted, networks=networks)


def _plausible(push: CourierPush) -> CourierPush:
    """Return the push itself, if it is plausible.

    Raises CourierPushInvalid for more tracks than a courier pushes at once, and CourierPushSignatureInvalid when all of
    its nodes lie further in the future than clocks can differ.
    """
    if len(push.tracks) > MOST_TRACKS:
        raise CourierPushInvalid("too many parcels")
    pushed = [node for track in push.tracks for node in track.nodes]
    if pushed and all(nodes.is_future(node) for node in pushed):
        raise CourierPushSignatureInvalid("from the future")
    return push


def _refused(name: str, error: DomainError) -> None:
    RECEIVED.labels(name, error.code).inc()
    why = getattr(error, "why", "")
    facts = {"partner": name, "reason": error.code, "detail": why}
    logs.security.warning("push refused", extra={"event": "push.refused", **facts})


async def _store(name: str, push: CourierPush) -> bool:
    message_id, now = uuid7(), clock.now()
    kept = StoredPush(signed=push.signed, tracks=push.tracks, plaintext=nodes.storable_text(push.plaintext, LARGEST))
    sealed = seal(_encode(kept), where=SEALED, row=message_id)
    identity = push.identity
    if len(identity) > 64 or not identity.isascii() or not identity.isprintable():
        identity = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
    async with transaction():
        if await fetch_value(_STORE, message_id, now, name, identity, sealed) is None:
            return False
        await record(CourierPushed(message_id=message_id, partner=name, tracks=len(push.tracks)))
    return True


def _encode(kept: StoredPush) -> str:
    """The push as JSON; lone surrogates, which JSON can smuggle in, are replaced."""
    tidy = [
        msgspec.structs.replace(
            track,
            waybill=tracking.waybill_of(track),
            company=nodes.storable_text(track.company, 32),
            order_number=nodes.storable_text(track.order_number, 64) if track.order_number else None,
            corrected_company=nodes.storable_text(track.corrected_company, 32) if track.corrected_company else None,
            nodes=tuple(map(_storable, track.nodes)),
        )
        for track in kept.tracks
    ]
    return msgspec.json.encode(msgspec.structs.replace(kept, tracks=tuple(tidy))).decode()


def _storable(node: Node) -> Node:
    tidy = nodes.normalise(node)
    return msgspec.structs.replace(tidy, identity=nodes.storable_text(tidy.identity, 64) if tidy.identity else None)


async def apply_courier_push(event: CourierPushed, meta: EventMeta) -> None:
    """Apply a stored push: its nodes enter the timelines of our shipments. Does nothing once the push is deleted."""
    await _apply(event.message_id)


@jobs.job(unmatched.REAPPLY)
async def _reapply(payload: dict[str, Any]) -> None:
    """Apply a push again: its shipment was not known as ours when it came, and is by now."""
    await _apply(UUID(payload["message_id"]))


async def _apply(message_id: UUID) -> None:
    row = await fetch_row(_HANDLE, message_id, clock.now())
    if row is None:
        return
    kept = msgspec.json.decode(open_sealed(row["body"], where=SEALED, row=message_id), type=StoredPush)
    await tracking.ingest_tracks(kept.tracks, source=row["partner"], trusted=kept.signed, message_id=message_id)


async def get_stored_push(message_id: UUID) -> StoredPush | None:
    """Return a stored push, opened, for operators; None once it is deleted."""
    sealed = await fetch_value("SELECT body FROM inbound_messages WHERE id = $1", message_id)
    if sealed is None:
        return None
    return msgspec.json.decode(open_sealed(sealed, where=SEALED, row=message_id), type=StoredPush)
