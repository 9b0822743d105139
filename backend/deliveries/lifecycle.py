"""The state machine of a delivery, and the fold of a shipment's nodes. Pure; served to front ends as data.

Couriers report nodes late, twice and in any order. So the state of a shipment does not follow each node: it is the
fold of the *set* of verified nodes, the state furthest along. The same set gives the same state in any order of
arrival. SIGNED absorbs: a return reported after it is a contradiction that the office resolves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from backend.deliveries.errors import DeliveryTransitionRefused
from backend.state_machine import StateMachine
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
"""The state that a node leads to; None: it enters the timeline and changes no state."""

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
"""How far along a shipment is; of a set of nodes the highest counts."""

ENDS = frozenset({D.SIGNED, D.RETURNED, D.LOST, D.HANDED_OVER, D.CANCELLED})


FINAL = frozenset(status for status, state in LEADS_TO.items() if state in ENDS)
"""Nodes that end a journey: signed for, returned, lost. Only a trusted source may report them."""


def fold(statuses: Iterable[T], start: D = D.ORDERED) -> D:
    """The state that verified nodes lead to, in any order and any number of repeats."""
    return max([start, *(state for each in statuses if (state := LEADS_TO[each]) is not None)], key=RANK.__getitem__)


class Transition(StrEnum):
    """What residents and the office do; what couriers report is folded by `fold`."""

    DECIDED = "decided"
    """Its contents exist, and the postage is settled."""
    ORDER = "order"
    UNDO_ORDER = "undo-order"
    RESEND = "resend"
    CHANGE = "change"
    """Another address or another method."""
    AWAIT = "await"
    """The postage of the other method has to be paid first."""
    CANCEL = "cancel"
    MAKE_READY = "make-ready"
    HAND_OVER = "hand-over"
    RECEIVE = "receive"
    """The office has received what the resident sent."""
    CONFIRM = "confirm"
    """The resident confirms the receipt, although no courier reported it."""


DELIVERIES: StateMachine[D, Transition] = StateMachine(
    {
        (D.WAITING, Transition.DECIDED): D.TO_SEND,
        (D.WAITING, Transition.MAKE_READY): D.READY,
        (D.WAITING, Transition.CHANGE): D.WAITING,
        (D.TO_SEND, Transition.MAKE_READY): D.READY,
        (D.TO_SEND, Transition.CHANGE): D.TO_SEND,
        (D.TO_SEND, Transition.AWAIT): D.WAITING,
        (D.READY, Transition.CHANGE): D.WAITING,
        (D.TO_SEND, Transition.ORDER): D.ORDERED,
        (D.ORDERED, Transition.UNDO_ORDER): D.TO_SEND,
        (D.RETURNED, Transition.RESEND): D.TO_SEND,
        (D.LOST, Transition.RESEND): D.TO_SEND,
        (D.READY, Transition.HAND_OVER): D.HANDED_OVER,
        **{(state, Transition.CANCEL): D.CANCELLED for state in (D.WAITING, D.TO_SEND, D.READY)},
        **{
            (state, Transition.CONFIRM): D.SIGNED
            for state in (D.ORDERED, D.PICKED_UP, D.IN_TRANSIT, D.OUT_FOR_DELIVERY, D.AT_STATION)
        },
        **{(state, Transition.RECEIVE): D.SIGNED for state in RANK if state not in (D.SIGNED, D.RETURNED, D.LOST)},
    },
    refused=DeliveryTransitionRefused,
)
