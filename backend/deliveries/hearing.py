"""Couriers' pushes: read, believed or doubted, stored once and answered at once; subscribers do the work.

Partners that sign nothing come to an address that nobody can guess, from known networks, and an end of a parcel that
they tell of (signed for, returned, lost) is believed only when a question confirms it.
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
_TAKE = """
UPDATE inbound_messages SET state = 'handled', handled_at = coalesce(handled_at, $2) WHERE id = $1
RETURNING partner, body
"""


class Kept(Struct, frozen=True, kw_only=True):
    """A push as it is kept, sealed: what we read, and what we were sent."""

    signed: bool
    tracks: tuple[Track, ...]
    plaintext: str


def addressed(
    name: str, trackers: Mapping[str, Tracking], *, token: str | None = None, address: str = ""
) -> Tracking | None:
    """The partner that may push to this address from there; None when there is no such address.

    A partner that signs has one without a token, one that does not has only the one with it. Whoever guesses cannot
    tell a wrong token from a wrong name.
    """
    tracker = trackers.get(name)
    if tracker is not None and tracker.pushes:
        if tracker.signs and token is None:
            return tracker
        if not tracker.signs and token is not None and _is_admitted(token, address):
            return tracker
    RECEIVED.labels(name if tracker else "unknown", "no-such-address").inc()
    facts = {"partner": nodes.plain(name, 32)}
    logs.security.warning("push to an unknown address", extra={"event": "push.address-unknown", **facts})
    return None


async def receive(tracker: Tracking, headers: Mapping[str, str], body: bytes) -> PushAnswer:
    """Take what a courier pushed; the answer in its own words, after it was stored.

    Raises CourierPushSignatureInvalid and CourierPushInvalid: what is refused leaves a line in the security log and a
    count. When we cannot store it, the partner is told to come again.
    """
    act_as("partner", tracker.name)
    try:
        push = _plausible(tracker.open_push(headers, body))
    except DomainError as trouble:
        _refused(tracker.name, trouble)
        raise
    future = [node.identity for track in push.tracks for node in track.nodes if node.identity and nodes.is_future(node)]
    try:
        new = await _store(tracker.name, push)
    except Exception as error:
        if not (isinstance(error, Unavailable) or is_down(error) or is_contention(error)):
            raise
        RECEIVED.labels(tracker.name, "not-stored").inc()
        return tracker.answer(push, taken=False)
    RECEIVED.labels(tracker.name, "new" if new else "repeated").inc()
    return tracker.answer(push, taken=True, refused=future)


def _is_admitted(token: str, address: str) -> bool:
    wanted, networks = settings().courier_push_token, settings().courier_push_networks
    return addressing.admits(token, address, wanted=wanted, networks=networks)


def _plausible(push: CourierPush) -> CourierPush:
    """The push itself, unless nobody would send it.

    Raises CourierPushInvalid for more parcels than anybody pushes at once, and CourierPushSignatureInvalid when
    everything in it is said to happen later than clocks can differ.
    """
    if len(push.tracks) > MOST_TRACKS:
        raise CourierPushInvalid("too many parcels")
    told = [node for track in push.tracks for node in track.nodes]
    if told and all(nodes.is_future(node) for node in told):
        raise CourierPushSignatureInvalid("from the future")
    return push


def _refused(name: str, trouble: DomainError) -> None:
    RECEIVED.labels(name, trouble.code).inc()
    why = getattr(trouble, "why", "")
    facts = {"partner": name, "reason": trouble.code, "detail": why}
    logs.security.warning("push refused", extra={"event": "push.refused", **facts})


async def _store(name: str, push: CourierPush) -> bool:
    message_id, now = uuid7(), clock.now()
    kept = Kept(signed=push.signed, tracks=push.tracks, plaintext=nodes.plain(push.plaintext, LARGEST))
    sealed = seal(_written(kept), where=SEALED, row=message_id)
    identity = push.identity
    if len(identity) > 64 or not identity.isascii() or not identity.isprintable():
        identity = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
    async with transaction():
        if await fetch_value(_STORE, message_id, now, name, identity, sealed) is None:
            return False
        await record(CourierPushed(message_id=message_id, partner=name, parcels=len(push.tracks)))
    return True


def _written(kept: Kept) -> str:
    """The push as JSON; half characters, which JSON can smuggle in, are replaced."""
    tidy = [
        msgspec.structs.replace(
            track,
            waybill=tracking.waybill_of(track),
            company=nodes.plain(track.company, 32),
            order_number=nodes.plain(track.order_number, 64) if track.order_number else None,
            corrected_company=nodes.plain(track.corrected_company, 32) if track.corrected_company else None,
            nodes=tuple(map(_kept_node, track.nodes)),
        )
        for track in kept.tracks
    ]
    return msgspec.json.encode(msgspec.structs.replace(kept, tracks=tuple(tidy))).decode()


def _kept_node(node: Node) -> Node:
    tidy = nodes.tidy(node)
    return msgspec.structs.replace(tidy, identity=nodes.plain(tidy.identity, 64) if tidy.identity else None)


async def hear_courier(event: CourierPushed, meta: EventMeta) -> None:
    """Work off a stored push: its nodes enter the timelines of our parcels. Nothing when it has been forgotten."""
    await _work_off(event.message_id)


@jobs.job(unmatched.HEAR_AGAIN)
async def _hear_again(payload: dict[str, Any]) -> None:
    """A push told of a parcel before it was known to be ours; by now it is."""
    await _work_off(UUID(payload["message_id"]))


async def _work_off(message_id: UUID) -> None:
    row = await fetch_row(_TAKE, message_id, clock.now())
    if row is None:
        return
    kept = msgspec.json.decode(open_sealed(row["body"], where=SEALED, row=message_id), type=Kept)
    await tracking.hear(kept.tracks, source=row["partner"], sure=kept.signed, message_id=message_id)


async def kept(message_id: UUID) -> Kept | None:
    """What was pushed, opened, for whoever has to look into it; None when it has been forgotten."""
    sealed = await fetch_value("SELECT body FROM inbound_messages WHERE id = $1", message_id)
    if sealed is None:
        return None
    return msgspec.json.decode(open_sealed(sealed, where=SEALED, row=message_id), type=Kept)
