"""Tracking shipments: every node enters the timeline, and the state is the fold of the verified nodes.

Nodes come late, twice, in any order and from several sources. Under the lock of its delivery and its own row, the
state of a shipment is folded anew from the set of nodes; when it rises, the delivery advances, with one event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct
from prometheus_client import Counter

from backend import clock
from backend.database import execute, fetch, fetch_value, transaction
from backend.deliveries import anomalies, nodes, transitions, unmatched
from backend.deliveries.events import ShipmentNodesStored
from backend.deliveries.lifecycle import ENDS, FINAL, RANK, fold
from backend.deliveries.nodes import Span, StoredNodes
from backend.deliveries.transitions import DeliveryRow
from backend.events import record
from backend.partners.courier.port import Node, Track
from backend.settings import settings
from models.deliveries import DeliveryState as D
from models.deliveries import ProblemKind
from models.shipments import TrackStatus as T

MANUAL = "manual"
QUERIED = ":query"
"""Suffix of a source that answered a query."""
AFTER_END = timedelta(days=60)
"""How long after its end nodes still count for a shipment: corrections, and the way back."""
RENEW_AFTER = timedelta(minutes=40)
"""A tracker that has given up is not subscribed to again within half an hour (快递100)."""
OUR_NUMBER = re.compile(r"S\d{8}[0-9A-Z]{12}\d{2}", re.ASCII)
_COMPANY = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_ALARMING = {
    T.DELIVERY_FAILED: ProblemKind.DELIVERY_FAILED,
    T.REFUSED: ProblemKind.REFUSED,
    T.RETURNED: ProblemKind.RETURNED,
    T.LOST: ProblemKind.LOST,
    T.CANCELLED: ProblemKind.ORDER_FAILED,
    T.COLLECT_FAILED: ProblemKind.ORDER_FAILED,
}
"""Statuses that open a problem, as long as the parcel has not arrived all the same."""
_CONTRADICTING = frozenset({T.DELIVERED, T.RETURNING, T.RETURNED, T.REFUSED})

NODES = Counter("zhangban_shipment_nodes_total", "Tracking nodes by source and outcome.", ("source", "outcome"))

_CANDIDATES = "SELECT id, delivery_id FROM shipments WHERE waybill = ANY($1) AND ordered_at IS NOT NULL"
_LOCK = """
SELECT id, delivery_id, number, attempt, courier, tracker, company, waybill, state, created_at, ordered_at, ended_at,
       unconfirmed_end_at, last_node_at,
       attempt = (SELECT max(attempt) FROM shipments o WHERE o.delivery_id = s.delivery_id) AS latest
FROM shipments s WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
"""
_PERSIST = """
UPDATE shipments SET state = $2, state_at = $3, ended_at = $4, last_node_at = $5, unconfirmed_end_at = $6,
    last_push_at = CASE WHEN $7 THEN $8 ELSE last_push_at END,
    query_after = CASE WHEN $4::timestamptz IS NOT NULL THEN NULL ELSE coalesce($9, query_after) END,
    subscribe_after = CASE WHEN $4::timestamptz IS NOT NULL THEN NULL ELSE coalesce($10, subscribe_after) END
WHERE id = $1
"""
_TAKEN = "SELECT 1 FROM shipments WHERE waybill = $1 AND company = $2 AND ended_at IS NULL AND id <> $3"


class ShipmentRow(Struct, kw_only=True):
    """The locked row of a shipment. `latest`: whether it is the last one of its delivery."""

    id: UUID
    delivery_id: UUID
    number: str
    attempt: int
    courier: str
    tracker: str
    company: str
    waybill: str
    state: D
    created_at: datetime
    ordered_at: datetime
    ended_at: datetime | None
    unconfirmed_end_at: datetime | None
    last_node_at: datetime | None
    latest: bool

    def begins(self) -> datetime:
        """Return the first moment of a node that can belong to it.

        A number is used again, so no node from before our order belongs to it; the courier may have begun before its
        answer reached us. A waybill bought elsewhere is entered later still.
        """
        hours = timedelta(hours=settings().courier_clock_hours)
        if self.courier == MANUAL:
            return self.ordered_at - timedelta(days=settings().courier_manual_days) - hours
        return min(self.created_at, self.ordered_at) - hours

    def is_undone(self) -> bool:
        """Whether the office cancelled the order: then the parcel should not be on its way at all."""
        return self.ended_at is not None and self.state not in ENDS

    def is_over_at(self, moment: datetime) -> bool:
        """Whether the moment lies so long after its end that the number must belong to another shipment."""
        return self.ended_at is not None and moment > self.ended_at + AFTER_END


class IngestResult(Struct, frozen=True):
    """What ingested tracks led to: shipments of ours they concern, new nodes, and tracks that concern none of ours."""

    shipments: int
    nodes: int
    unknown: int


async def ingest_tracks(
    tracks: Sequence[Track], *, source: str, trusted: bool, message_id: UUID | None = None
) -> IngestResult:
    """Ingest tracks. `source` is `kuaidi100`, or `kuaidi100:query` for the answer to a query.

    `trusted` is False for an unsigned push: the end of a parcel stays unconfirmed. Tracks of parcels that are not ours,
    of another company, or from the future change nothing and are counted; with `message_id`, the stored push that they
    came with, they are applied again when their parcel becomes ours.
    """
    async with transaction():
        rows = await fetch(_CANDIDATES, [waybill_of(track) for track in tracks])
        deliveries = await transitions.lock_rows([row["delivery_id"] for row in rows])
        rows_locked = [
            msgspec.convert(dict(row), ShipmentRow) for row in await fetch(_LOCK, [row["id"] for row in rows])
        ]
        shipments = fresh = 0
        unknown: list[str] = []
        for track in tracks:
            assigned = _assign(track, rows_locked, source=source, trusted=trusted)
            unknown += [] if assigned else [waybill_of(track)]
            for shipment, reported in assigned:
                fresh += await _ingest(
                    shipment, deliveries[shipment.delivery_id], track, reported, source=source, trusted=trusted
                )
                shipments += 1
        if message_id is not None:
            await unmatched.record_unmatched(message_id, unknown)
    if unknown:
        NODES.labels(source, "unknown-parcel").inc(len(unknown))
    return IngestResult(shipments, fresh, len(unknown))


def waybill_of(track: Track) -> str:
    """Return the number as it is stored: upper case, without spaces around it."""
    return nodes.storable_text(track.waybill.strip().upper(), 40)


def _assign(
    track: Track, candidates: Sequence[ShipmentRow], *, source: str, trusted: bool
) -> list[tuple[ShipmentRow, list[Node]]]:
    """Assign the track's nodes to shipments: every node belongs to the last shipment begun before it."""
    ours = sorted(
        (each for each in candidates if _is_about(track, each, source=source, trusted=trusted)),
        key=lambda each: each.begins(),
        reverse=True,
    )
    assigned: dict[UUID, list[Node]] = {}
    for node in map(nodes.normalise, track.nodes):
        if nodes.is_future(node):
            NODES.labels(source, "future").inc()
            continue
        owner = next((each for each in ours if each.begins() <= node.event_at), None)
        if owner is None or owner.is_over_at(node.event_at):
            NODES.labels(source, "of-another-time").inc()
            continue
        assigned.setdefault(owner.id, []).append(node)
    if not track.nodes and ours and not ours[0].is_over_at(clock.now()):
        assigned[ours[0].id] = []
    return [(each, assigned[each.id]) for each in ours if each.id in assigned]


def _is_about(track: Track, shipment: ShipmentRow, *, source: str, trusted: bool) -> bool:
    if waybill_of(track) != shipment.waybill:
        return False
    if track.order_number and track.order_number != shipment.number and OUR_NUMBER.fullmatch(track.order_number):
        return False
    return track.company == shipment.company or _may_correct(track, shipment, source=source, trusted=trusted)


def _may_correct(track: Track, shipment: ShipmentRow, *, source: str, trusted: bool) -> bool:
    """Whether the shipment's own tracker, a trusted source, corrects its company."""
    by_tracker = source.removesuffix(QUERIED) == shipment.tracker
    return bool(trusted and by_tracker and track.corrected_company and _COMPANY.fullmatch(track.corrected_company))


async def _ingest(
    shipment: ShipmentRow, delivery: DeliveryRow, track: Track, reported: Sequence[Node], *, source: str, trusted: bool
) -> int:
    if _may_correct(track, shipment, source=source, trusted=trusted):
        await _correct(shipment, str(track.corrected_company))
    entered = await nodes.store_nodes(shipment.id, reported, source=source, state=shipment.state, trusted=trusted)
    known, undone = await nodes.spans(shipment.id), shipment.is_undone()
    moved = await _fold(shipment, delivery, known, source) if entered.fresh or entered.verified else False
    await _persist(shipment, track, entered, known, source=source)
    if entered.fresh or entered.verified:
        statuses = {T(each.status) for each in entered.verified}
        await _update_problems(
            shipment, entered.verified, known, conflict=_is_conflict(shipment, known, statuses, undone=undone)
        )
    if track.given_up and not shipment.ended_at:
        kind = ProblemKind.NO_MOVEMENT if shipment.last_node_at else ProblemKind.NOT_FOUND
        await anomalies.open_problem(shipment.delivery_id, kind, shipment_id=shipment.id)
    if entered.fresh and not moved:
        await record(
            ShipmentNodesStored(shipment_id=shipment.id, delivery_id=shipment.delivery_id, nodes=len(entered.fresh))
        )
    NODES.labels(source, "new").inc(len(entered.fresh))
    NODES.labels(source, "known").inc(len(reported) - len(entered.fresh))
    return len(entered.fresh)


async def _fold(shipment: ShipmentRow, delivery: DeliveryRow, known: Mapping[T, Span], source: str) -> bool:
    """Fold the verified nodes; when the state has risen, the delivery advances with its last shipment."""
    state, undone = fold(known), shipment.is_undone()
    if RANK[state] <= RANK[shipment.state]:
        return False
    shipment.state = state
    if state in ENDS and shipment.ended_at is None:
        shipment.ended_at = clock.now()
    if undone or not shipment.latest:
        return False
    return await transitions.advance(delivery, state, source, _since(state, known) or clock.now())


def _since(state: D, known: Mapping[T, Span]) -> datetime | None:
    """When the shipment reached this state, by the courier's time."""
    return min((span.first for status, span in known.items() if fold((status,)) is state), default=None)


async def _persist(
    shipment: ShipmentRow, track: Track, entered: StoredNodes, known: Mapping[T, Span], *, source: str
) -> None:
    """Persist the shipment's state, and when its tracker is queried and subscribed to next."""
    now, pushed, query_after = clock.now(), source == shipment.tracker, None
    if pushed and (shipment.unconfirmed_end_at is None or FINAL & known.keys()):
        # While an end is unconfirmed, a later push does not postpone the query about it.
        query_after = now + timedelta(hours=settings().courier_silence_hours)
    if entered.unconfirmed:
        # Unconfirmed: queried as soon as the tracker's interval allows.
        shipment.unconfirmed_end_at, query_after = shipment.unconfirmed_end_at or now, now
    shipment.last_node_at = max(filter(None, (shipment.last_node_at, nodes.newest(entered.fresh))), default=None)
    await execute(
        _PERSIST,
        shipment.id,
        shipment.state.value,
        _since(shipment.state, known) or shipment.ordered_at,
        shipment.ended_at,
        shipment.last_node_at,
        shipment.unconfirmed_end_at,
        pushed,
        now,
        query_after,
        now + RENEW_AFTER if pushed and track.given_up and not track.corrected_company else None,
    )


async def _correct(shipment: ShipmentRow, company: str) -> None:
    """Correct the company as the tracker reports it; unless another shipment under way has the number there."""
    if company == shipment.company:
        return
    if shipment.ended_at is None and await fetch_value(_TAKEN, shipment.waybill, company, shipment.id):
        await anomalies.open_problem(shipment.delivery_id, ProblemKind.CONFLICT, shipment_id=shipment.id)
        return
    await execute("UPDATE shipments SET company = $2 WHERE id = $1", shipment.id, company)
    shipment.company = company


async def _update_problems(
    shipment: ShipmentRow, verified: Sequence[Node], known: Mapping[T, Span], *, conflict: bool
) -> None:
    """Open problems for new nodes that need the office, and resolve those that the nodes resolve."""
    arrived = T.DELIVERED in known
    await anomalies.resolve_problems(shipment.delivery_id, anomalies.BY_ARRIVAL if arrived else anomalies.BY_MOVEMENT)
    if not arrived and shipment.latest and not shipment.is_undone():
        for node in verified:
            if (kind := _ALARMING.get(T(node.status))) is not None and not _is_overtaken(node, known):
                await anomalies.open_problem(shipment.delivery_id, kind, shipment_id=shipment.id)
    if conflict:
        await anomalies.open_problem(shipment.delivery_id, ProblemKind.CONFLICT, shipment_id=shipment.id)


def _is_conflict(shipment: ShipmentRow, known: Mapping[T, Span], statuses: Set[T], *, undone: bool) -> bool:
    """Whether the new statuses contradict the others, or the parcel should not be on its way at all."""
    if undone and shipment.state is not D.ORDERED:
        return True
    if not shipment.latest and T.DELIVERED in statuses & known.keys():
        return True
    return bool(statuses & _CONTRADICTING) and is_contradiction(known)


def _is_overtaken(node: Node, known: Mapping[T, Span]) -> bool:
    """Whether the parcel was on its way to the door again after this node, or was collected all the same."""
    if node.status in (T.CANCELLED, T.COLLECT_FAILED):
        return any(RANK[fold((status,))] > RANK[D.ORDERED] for status in known)
    return any(known[status].last > node.event_at for status in (T.OUT_FOR_DELIVERY, T.AT_STATION) if status in known)


def is_contradiction(known: Mapping[T, Span]) -> bool:
    """Whether the nodes report both a signature and, at any time or afterwards, a return."""
    signed = known.get(T.DELIVERED)
    if signed is None:
        return False
    back = [known[status].last for status in (T.RETURNING, T.REFUSED) if status in known]
    return T.RETURNED in known or any(at > signed.first for at in back)
