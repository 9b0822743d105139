"""Tracking nodes as rows: each once, however often and from whichever source it comes; sealed, never changed.

The digest of a node is keyed and made of its time, code and text, so that a push, its repeat and the answer to a
query are one row. The shipment of a node follows from its time: couriers use their numbers again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import fingerprint, fingerprints, seal
from backend.database import fetch, fetch_value, transaction
from backend.deliveries.lifecycle import FINAL, LEADS_TO, RANK
from backend.partners.courier.port import Node
from backend.settings import settings
from backend.sql import positional
from models.deliveries import DeliveryState
from models.shipments import TrackStatus

MOST = 1000
"""The most nodes stored for one shipment; a real journey has a few dozen."""
LONGEST_TEXT = 2000
DOMAIN = "shipment-node"
STATUSES = frozenset(each.value for each in TrackStatus)
_REGION = re.compile(r"[1-9][0-9]{5}(?:[0-9]{6})?", re.ASCII)

_KNOWN = "SELECT id, digest, verified FROM shipment_nodes WHERE shipment_id = $1 AND digest = ANY($2)"
_COUNT = "SELECT count(*) FROM shipment_nodes WHERE shipment_id = $1"
_VERIFY = "UPDATE shipment_nodes SET verified = true WHERE id = ANY($1) AND NOT verified"
_INSERT = """
INSERT INTO shipment_nodes (id, created_at, shipment_id, digest, source, status, raw_code, raw_text, place, region_code,
                            event_at, received_at, verified, late)
VALUES (:id, :now, :shipment_id, :digest, :source, :status, :raw_code, :raw_text, :place, :region_code, :event_at, :now,
        :verified, :late) ON CONFLICT DO NOTHING
"""
_SPANS = """
SELECT status, min(event_at) AS first, max(event_at) AS last FROM shipment_nodes
WHERE shipment_id = $1 AND verified GROUP BY status
"""


class Span(Struct, frozen=True):
    """When nodes of one status happened, the first and the last of them."""

    first: datetime
    last: datetime


class StoredNodes(Struct, frozen=True):
    """What storing nodes changed: the new ones, and those that are verified from now on, new or not."""

    fresh: tuple[Node, ...]
    verified: tuple[Node, ...]

    @property
    def unconfirmed(self) -> bool:
        """Whether an end was reported that a trusted source has to confirm first."""
        return any(node not in self.verified for node in self.fresh)


def storable_text(text: str, longest: int) -> str:
    """The part of a partner's text that the database can store: no NUL, no lone surrogates, no longer than this."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:longest]


def normalise(node: Node) -> Node:
    """The node as it can be stored: bounded texts, a known status, a time with a zone (Asia/Shanghai without one)."""
    status = node.status if node.status in STATUSES else TrackStatus.OTHER.value
    at = node.event_at if node.event_at.tzinfo else node.event_at.replace(tzinfo=clock.SHANGHAI)
    return Node(
        status=status,
        raw_code=storable_text(node.raw_code, 40),
        raw_text=storable_text(node.raw_text, LONGEST_TEXT),
        event_at=at.astimezone(UTC),
        place=storable_text(node.place, 100),
        region_code=node.region_code if node.region_code and _REGION.fullmatch(node.region_code) else None,
        identity=node.identity,
    )


def _digested(event_at: datetime, raw_code: str, raw_text: str) -> str:
    return f"{event_at.astimezone(UTC).isoformat()}|{raw_code}|{raw_text}"


def digest(event_at: datetime, raw_code: str, raw_text: str) -> str:
    """The digest that identifies a node, under the current key."""
    return fingerprint(_digested(event_at, raw_code, raw_text), DOMAIN)


def is_future(node: Node) -> bool:
    """Whether the node's time lies further in the future than a courier's clock may be wrong."""
    at = node.event_at if node.event_at.tzinfo else node.event_at.replace(tzinfo=clock.SHANGHAI)
    return at > clock.now() + timedelta(hours=settings().courier_clock_hours)


async def store_nodes(
    shipment_id: UUID, reported: Iterable[Node], *, source: str, state: DeliveryState, trusted: bool
) -> StoredNodes:
    """Store the new nodes, and verify stored ones that a trusted source reports again.

    `trusted`: signed, or the answer to a query; otherwise the end of a journey stays unconfirmed. `state` is that of
    the shipment: a node that leads to an earlier state is late. The caller holds the shipment's row.
    """
    nodes = {digest(node.event_at, node.raw_code, node.raw_text): node for node in map(normalise, reported)}
    rings = {
        name: fingerprints(_digested(node.event_at, node.raw_code, node.raw_text), DOMAIN)
        for name, node in nodes.items()
    }
    known = {
        row["digest"]: row
        for row in await fetch(_KNOWN, shipment_id, [each for ring in rings.values() for each in ring])
    }
    rows: list[tuple[object, ...]] = []
    fresh: list[Node] = []
    newly_verified: list[Node] = []
    confirmed: list[UUID] = []
    room = MOST - await fetch_value(_COUNT, shipment_id) if nodes else 0
    for name, node in nodes.items():
        verified = trusted or TrackStatus(node.status) not in FINAL
        if (row := next((known[each] for each in rings[name] if each in known), None)) is not None:
            if verified and not row["verified"]:
                confirmed.append(row["id"])
                newly_verified.append(node)
        elif len(fresh) < room:
            fresh.append(node)
            newly_verified += [node] if verified else []
            rows.append(_row(shipment_id, name, node, source=source, verified=verified, state=state))
    statement, _ = positional(_INSERT)
    async with transaction() as connection:
        await connection.executemany(statement, rows)
        if confirmed:
            await connection.execute(_VERIFY, confirmed)
    return StoredNodes(tuple(fresh), tuple(newly_verified))


def _row(
    shipment_id: UUID, name: str, node: Node, *, source: str, verified: bool, state: DeliveryState
) -> tuple[object, ...]:
    identity = uuid7()
    sealed = seal(node.raw_text, where="shipment_nodes.raw_text", row=identity)
    leads_to = LEADS_TO[TrackStatus(node.status)]
    late = leads_to is not None and RANK[leads_to] < RANK.get(state, 0)
    values = {
        "id": identity,
        "now": clock.now(),
        "shipment_id": shipment_id,
        "digest": name,
        "source": source,
        "status": node.status,
        "raw_code": node.raw_code,
        "raw_text": sealed,
        "place": node.place,
        "region_code": node.region_code,
        "event_at": node.event_at,
        "verified": verified,
        "late": late,
    }
    return tuple(values[column] for column in positional(_INSERT)[1])


async def spans(shipment_id: UUID) -> Mapping[TrackStatus, Span]:
    """When the shipment's verified nodes happened, by status."""
    return {TrackStatus(row["status"]): Span(row["first"], row["last"]) for row in await fetch(_SPANS, shipment_id)}


def newest(nodes: Sequence[Node]) -> datetime | None:
    """Event time of the newest node."""
    return max((node.event_at for node in nodes), default=None)
