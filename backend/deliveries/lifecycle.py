"""The moves of a delivery, and what the nodes of a journey come to. Pure; served to front ends as data.

Couriers tell their nodes late, twice and in any order. So the state of a parcel is not moved by each of them: it is
what the *set* of believed nodes comes to, the one that lies furthest along. The same set gives the same state in
whatever order it arrived. SIGNED absorbs: a return told after it is a contradiction that the office looks into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from backend.deliveries.errors import DeliveryTransitionRefused
from models.deliveries import DeliveryState as D
from models.shipments import TrackStatus as T

LEADS_TO: Mapping[T, D | None] = {
    T.CREATED: D.ORDERED,
    T.COLLECTED: D.PICKED_UP,
    T.COLLECT_FAILED: None,
    T.IN_TRANSIT: D.IN_TRANSIT,
    T.ARRIVED_CITY: D.IN_TRANSIT,
    T.OUT_FOR_DELIVERY: D.OUT_FOR_DELIVERY,
    T.AT_STATION: D.AT_STATION,
    T.DELIVERED: D.SIGNED,
    T.DELIVERY_FAILED: None,
    T.REFUSED: D.RETURNING,
    T.EXCEPTION: None,
    T.RETURNING: D.RETURNING,
    T.RETURNED: D.RETURNED,
    T.LOST: D.LOST,
    T.CANCELLED: None,
    T.OTHER: None,
}
"""What one node says of the state; None: it enters the timeline and moves nothing."""

RANK: Mapping[D, int] = {
    D.TO_SEND: 0,
    D.ORDERED: 1,
    D.PICKED_UP: 2,
    D.IN_TRANSIT: 3,
    D.OUT_FOR_DELIVERY: 4,
    D.AT_STATION: 5,
    D.RETURNING: 6,
    D.LOST: 7,
    D.RETURNED: 8,
    D.SIGNED: 9,
}
"""How far along a parcel is; of a set of nodes the highest counts."""

ENDS = frozenset({D.SIGNED, D.RETURNED, D.LOST, D.HANDED_OVER, D.CANCELLED})


FINAL = frozenset(status for status, state in LEADS_TO.items() if state in ENDS)
"""Nodes that end a journey: signed for, returned, lost. Only whoever can be believed may say so."""


def come_to(statuses: Iterable[T], start: D = D.ORDERED) -> D:
    """The state that believed nodes come to, in whatever order and however often they are given."""
    return max([start, *(state for each in statuses if (state := LEADS_TO[each]) is not None)], key=RANK.__getitem__)


class Move(StrEnum):
    """What people and the office do; what couriers say is `come_to`."""

    DECIDED = "decided"
    """What is in it exists, and the postage is settled."""
    ORDER = "order"
    UNDO_ORDER = "undo-order"
    RESEND = "resend"
    CHANGE = "change"
    """Another address or another way."""
    AWAIT = "await"
    """The postage of the other way has to be paid first."""
    CANCEL = "cancel"
    MAKE_READY = "make-ready"
    HAND_OVER = "hand-over"
    RECEIVE = "receive"
    """The office has what the resident sent."""
    CONFIRM = "confirm"
    """The resident says that it came, although no courier said so."""


MOVES: Mapping[tuple[D, Move], D] = {
    (D.WAITING, Move.DECIDED): D.TO_SEND,
    (D.WAITING, Move.MAKE_READY): D.READY,
    (D.WAITING, Move.CHANGE): D.WAITING,
    (D.TO_SEND, Move.MAKE_READY): D.READY,
    (D.TO_SEND, Move.CHANGE): D.TO_SEND,
    (D.TO_SEND, Move.AWAIT): D.WAITING,
    (D.READY, Move.CHANGE): D.WAITING,
    (D.TO_SEND, Move.ORDER): D.ORDERED,
    (D.ORDERED, Move.UNDO_ORDER): D.TO_SEND,
    (D.RETURNED, Move.RESEND): D.TO_SEND,
    (D.LOST, Move.RESEND): D.TO_SEND,
    (D.READY, Move.HAND_OVER): D.HANDED_OVER,
    **{(state, Move.CANCEL): D.CANCELLED for state in (D.WAITING, D.TO_SEND, D.READY)},
    **{
        (state, Move.CONFIRM): D.SIGNED
        for state in (D.ORDERED, D.PICKED_UP, D.IN_TRANSIT, D.OUT_FOR_DELIVERY, D.AT_STATION)
    },
    **{(state, Move.RECEIVE): D.SIGNED for state in RANK if state not in (D.SIGNED, D.RETURNED, D.LOST)},
}


def after(state: D, move: Move) -> D:
    """Where the move leads. Raises DeliveryTransitionRefused when the delivery cannot make it."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise DeliveryTransitionRefused(state=state.value, move=move.value) from None
