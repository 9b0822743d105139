"""Where a parcel is: whatever is told of it enters its timeline, and it stands where its believed nodes come to.

Nodes come late, twice, in any order and from several sources. Under the lock of its delivery and its own row, the
state of a parcel is folded anew from the set of nodes; when it rises, the delivery moves and the fact is told once.
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
from backend.deliveries import anomalies, moving, nodes, unmatched
from backend.deliveries.events import ShipmentNoded
from backend.deliveries.lifecycle import ENDS, FINAL, RANK, come_to
from backend.deliveries.moving import Standing
from backend.deliveries.nodes import Entered, Span
from backend.events import record
from backend.partners.courier.port import Node, Track
from backend.settings import settings
from models.deliveries import DeliveryState as D
from models.deliveries import ProblemKind
from models.shipments import TrackStatus as T

MANUAL = "manual"
ASKED = ":query"
"""Ends the name of a source that we had asked."""
AFTER_END = timedelta(days=60)
"""How long after its end nodes are still taken for a parcel: corrections, and what happens on the way back."""
RENEW_AFTER = timedelta(minutes=40)
"""A tracker that has given up is not subscribed to again within half an hour (快递100)."""
OUR_NUMBER = re.compile(r"S\d{8}[0-9A-Z]{12}\d{2}", re.ASCII)
_COMPANY = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_WATCHED = {
    T.DELIVERY_FAILED: ProblemKind.DELIVERY_FAILED,
    T.REFUSED: ProblemKind.REFUSED,
    T.RETURNED: ProblemKind.RETURNED,
    T.LOST: ProblemKind.LOST,
    T.CANCELLED: ProblemKind.ORDER_FAILED,
    T.COLLECT_FAILED: ProblemKind.ORDER_FAILED,
}
"""A node that alarms the office, as long as the parcel has not arrived all the same."""
_CONTRADICTING = frozenset({T.DELIVERED, T.RETURNING, T.RETURNED, T.REFUSED})

HEARD = Counter("zhangban_parcel_nodes_total", "Nodes of journeys by what became of them.", ("source", "outcome"))

_CANDIDATES = "SELECT id, delivery_id FROM shipments WHERE waybill = ANY($1) AND ordered_at IS NOT NULL"
_LOCK = """
SELECT id, delivery_id, number, attempt, courier, tracker, company, waybill, state, created_at, ordered_at, ended_at,
       signed_claimed_at, last_node_at,
       attempt = (SELECT max(attempt) FROM shipments o WHERE o.delivery_id = s.delivery_id) AS latest
FROM shipments s WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
"""
_KEEP = """
UPDATE shipments SET state = $2, state_at = $3, ended_at = $4, last_node_at = $5, signed_claimed_at = $6,
    last_push_at = CASE WHEN $7 THEN $8 ELSE last_push_at END,
    query_after = CASE WHEN $4::timestamptz IS NOT NULL THEN NULL ELSE coalesce($9, query_after) END,
    subscribe_after = CASE WHEN $4::timestamptz IS NOT NULL THEN NULL ELSE coalesce($10, subscribe_after) END
WHERE id = $1
"""
_TAKEN = "SELECT 1 FROM shipments WHERE waybill = $1 AND company = $2 AND ended_at IS NULL AND id <> $3"


class Carried(Struct, kw_only=True):
    """A parcel as its locked row has it. `latest` is the last one of its delivery."""

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
    signed_claimed_at: datetime | None
    last_node_at: datetime | None
    latest: bool

    def begins(self) -> datetime:
        """The first moment that can belong to it. A number is used again, so nothing from before our order does; the
        courier may have had that long before its answer reached us. One bought elsewhere is entered later still."""
        hours = timedelta(hours=settings().courier_clock_hours)
        if self.courier == MANUAL:
            return self.ordered_at - timedelta(days=settings().courier_manual_days) - hours
        return min(self.created_at, self.ordered_at) - hours

    def is_undone(self) -> bool:
        """Whether the office took the order back: then the parcel should not be on its way at all."""
        return self.ended_at is not None and self.state not in ENDS

    def is_over_at(self, moment: datetime) -> bool:
        """Whether that lies so long after its end that the number must have been used for another parcel."""
        return self.ended_at is not None and moment > self.ended_at + AFTER_END


class Heard(Struct, frozen=True):
    """What became of tracks: how many parcels of ours they told of, how many nodes were new, and how many tracks told
    of no parcel of ours."""

    parcels: int
    nodes: int
    unknown: int


async def hear(tracks: Sequence[Track], *, source: str, sure: bool, message_id: UUID | None = None) -> Heard:
    """Take what somebody tells of parcels. `source` is `kuaidi100`, or `kuaidi100:query` when we had asked.

    `sure` is False for a push that nobody signed: that a parcel has come to its end is kept as a claim. Tracks of
    parcels that are not ours, of another company, or from the future change nothing and are counted; with `message_id`,
    the stored push that they came with, they are worked again when their parcel becomes ours.
    """
    async with transaction():
        rows = await fetch(_CANDIDATES, [waybill_of(track) for track in tracks])
        standing = await moving.locked_all([row["delivery_id"] for row in rows])
        carried = [msgspec.convert(dict(row), Carried) for row in await fetch(_LOCK, [row["id"] for row in rows])]
        parcels = fresh = 0
        unknown: list[str] = []
        for track in tracks:
            shares = _shares(track, carried, source=source, sure=sure)
            unknown += [] if shares else [waybill_of(track)]
            for parcel, told in shares:
                fresh += await _take(parcel, standing[parcel.delivery_id], track, told, source=source, sure=sure)
                parcels += 1
        if message_id is not None:
            await unmatched.keep(message_id, unknown)
    if unknown:
        HEARD.labels(source, "unknown-parcel").inc(len(unknown))
    return Heard(parcels, fresh, len(unknown))


def waybill_of(track: Track) -> str:
    """The number as we keep numbers: upper case, without spaces around it."""
    return nodes.plain(track.waybill.strip().upper(), 40)


def _shares(track: Track, carried: Sequence[Carried], *, source: str, sure: bool) -> list[tuple[Carried, list[Node]]]:
    """Which parcels the track tells of, and what of each: every node belongs to the last parcel begun before it."""
    ours = sorted(
        (each for each in carried if _is_told_of(track, each, source=source, sure=sure)),
        key=lambda each: each.begins(),
        reverse=True,
    )
    shares: dict[UUID, list[Node]] = {}
    for node in map(nodes.tidy, track.nodes):
        if nodes.is_future(node):
            HEARD.labels(source, "future").inc()
            continue
        owner = next((each for each in ours if each.begins() <= node.event_at), None)
        if owner is None or owner.is_over_at(node.event_at):
            HEARD.labels(source, "of-another-time").inc()
            continue
        shares.setdefault(owner.id, []).append(node)
    if not track.nodes and ours and not ours[0].is_over_at(clock.now()):
        shares[ours[0].id] = []
    return [(each, shares[each.id]) for each in ours if each.id in shares]


def _is_told_of(track: Track, parcel: Carried, *, source: str, sure: bool) -> bool:
    if waybill_of(track) != parcel.waybill:
        return False
    if track.order_number and track.order_number != parcel.number and OUR_NUMBER.fullmatch(track.order_number):
        return False
    return track.company == parcel.company or _may_correct(track, parcel, source=source, sure=sure)


def _may_correct(track: Track, parcel: Carried, *, source: str, sure: bool) -> bool:
    """Whether the parcel's own tracker, whom we believe, says that it is of another company."""
    by_tracker = source.removesuffix(ASKED) == parcel.tracker
    return bool(sure and by_tracker and track.corrected_company and _COMPANY.fullmatch(track.corrected_company))


async def _take(
    parcel: Carried, standing: Standing, track: Track, told: Sequence[Node], *, source: str, sure: bool
) -> int:
    if _may_correct(track, parcel, source=source, sure=sure):
        await _correct(parcel, str(track.corrected_company))
    entered = await nodes.enter(parcel.id, told, source=source, state=parcel.state, sure=sure)
    known, undone = await nodes.spans(parcel.id), parcel.is_undone()
    moved = await _stand(parcel, standing, known, source) if entered.fresh or entered.believed else False
    await _keep(parcel, track, entered, known, source=source)
    if entered.fresh or entered.believed:
        news = {T(each.status) for each in entered.believed}
        await _look(parcel, entered.believed, known, conflict=_is_conflict(parcel, known, news, undone=undone))
    if track.given_up and not parcel.ended_at:
        kind = ProblemKind.NO_MOVEMENT if parcel.last_node_at else ProblemKind.NOT_FOUND
        await anomalies.find(parcel.delivery_id, kind, shipment_id=parcel.id)
    if entered.fresh and not moved:
        await record(ShipmentNoded(shipment_id=parcel.id, delivery_id=parcel.delivery_id, nodes=len(entered.fresh)))
    HEARD.labels(source, "new").inc(len(entered.fresh))
    HEARD.labels(source, "known").inc(len(told) - len(entered.fresh))
    return len(entered.fresh)


async def _stand(parcel: Carried, standing: Standing, known: Mapping[T, Span], source: str) -> bool:
    """Fold the believed nodes; when the parcel has come further, the delivery moves with its last parcel."""
    state, undone = come_to(known), parcel.is_undone()
    if RANK[state] <= RANK[parcel.state]:
        return False
    parcel.state = state
    if state in ENDS and parcel.ended_at is None:
        parcel.ended_at = clock.now()
    if undone or not parcel.latest:
        return False
    return await moving.come(standing, state, source, _since(state, known) or clock.now())


def _since(state: D, known: Mapping[T, Span]) -> datetime | None:
    """When the parcel came to this state, by the courier's time."""
    return min((span.first for status, span in known.items() if come_to((status,)) is state), default=None)


async def _keep(parcel: Carried, track: Track, entered: Entered, known: Mapping[T, Span], *, source: str) -> None:
    """Write down what the parcel has come to, and when its tracker is asked and subscribed to next."""
    now, pushed, query_after = clock.now(), source == parcel.tracker, None
    if pushed and (parcel.signed_claimed_at is None or FINAL & known.keys()):
        # While an end is only claimed, a later push does not put off the question about it.
        query_after = now + timedelta(hours=settings().courier_silence_hours)
    if entered.claims:
        # Only claimed: asked about as soon as the tracker may be asked.
        parcel.signed_claimed_at, query_after = parcel.signed_claimed_at or now, now
    parcel.last_node_at = max(filter(None, (parcel.last_node_at, nodes.newest(entered.fresh))), default=None)
    await execute(
        _KEEP,
        parcel.id,
        parcel.state.value,
        _since(parcel.state, known) or parcel.ordered_at,
        parcel.ended_at,
        parcel.last_node_at,
        parcel.signed_claimed_at,
        pushed,
        now,
        query_after,
        now + RENEW_AFTER if pushed and track.given_up and not track.corrected_company else None,
    )


async def _correct(parcel: Carried, company: str) -> None:
    """The tracker knows better whose parcel it is; unless another one under way has the number there."""
    if company == parcel.company:
        return
    if parcel.ended_at is None and await fetch_value(_TAKEN, parcel.waybill, company, parcel.id):
        await anomalies.find(parcel.delivery_id, ProblemKind.CONFLICT, shipment_id=parcel.id)
        return
    await execute("UPDATE shipments SET company = $2 WHERE id = $1", parcel.id, company)
    parcel.company = company


async def _look(parcel: Carried, news: Sequence[Node], known: Mapping[T, Span], *, conflict: bool) -> None:
    """Alarm the office of what is new and wrong, and close what has mended itself."""
    arrived = T.DELIVERED in known
    await anomalies.mend(parcel.delivery_id, anomalies.BY_ARRIVAL if arrived else anomalies.BY_MOVEMENT)
    if not arrived and parcel.latest and not parcel.is_undone():
        for node in news:
            if (kind := _WATCHED.get(T(node.status))) is not None and not _is_overtaken(node, known):
                await anomalies.find(parcel.delivery_id, kind, shipment_id=parcel.id)
    if conflict:
        await anomalies.find(parcel.delivery_id, ProblemKind.CONFLICT, shipment_id=parcel.id)


def _is_conflict(parcel: Carried, known: Mapping[T, Span], news: Set[T], *, undone: bool) -> bool:
    """Whether what is new contradicts the rest, or the parcel should not be on its way at all."""
    if undone and parcel.state is not D.ORDERED:
        return True
    if not parcel.latest and T.DELIVERED in news & known.keys():
        return True
    return bool(news & _CONTRADICTING) and contradict(known)


def _is_overtaken(node: Node, known: Mapping[T, Span]) -> bool:
    """Whether the parcel was on its way to the door again after what the node tells, or was collected all the same."""
    if node.status in (T.CANCELLED, T.COLLECT_FAILED):
        return any(RANK[come_to((status,))] > RANK[D.ORDERED] for status in known)
    return any(known[status].last > node.event_at for status in (T.OUT_FOR_DELIVERY, T.AT_STATION) if status in known)


def contradict(known: Mapping[T, Span]) -> bool:
    """Whether the nodes say both that it was signed for and, at any time or afterwards, that it went back."""
    signed = known.get(T.DELIVERED)
    if signed is None:
        return False
    back = [known[status].last for status in (T.RETURNING, T.REFUSED) if status in known]
    return T.RETURNED in known or any(at > signed.first for at in back)
