"""The state machines of an appointment and of a queue number. Pure; served as data to the front end."""

from __future__ import annotations

from enum import StrEnum

from backend.appointments.errors import AppointmentTransitionRefused
from backend.state_machine import StateMachine
from models.appointments import AppointmentState as S
from models.appointments import TicketState as T


class Transition(StrEnum):
    """What can happen to an appointment."""

    CONFIRM = "confirm"
    EXPIRE = "expire"
    CANCEL = "cancel"
    CHECK_IN = "check-in"
    SERVE = "serve"
    MISS = "miss"


class TicketTransition(StrEnum):
    """What can happen to a queue number."""

    CALL = "call"
    SERVE = "serve"
    MISS = "miss"
    HAND_OVER = "hand-over"
    REJOIN = "rejoin"


APPOINTMENTS: StateMachine[S, Transition] = StateMachine(
    {
        (S.HELD, Transition.CONFIRM): S.BOOKED,
        (S.HELD, Transition.EXPIRE): S.EXPIRED,
        (S.HELD, Transition.CANCEL): S.CANCELLED,
        (S.BOOKED, Transition.CANCEL): S.CANCELLED,
        (S.BOOKED, Transition.CHECK_IN): S.CHECKED_IN,
        (S.BOOKED, Transition.MISS): S.MISSED,
        (S.CHECKED_IN, Transition.SERVE): S.SERVED,
        (S.CHECKED_IN, Transition.MISS): S.MISSED,
    },
    refused=AppointmentTransitionRefused,
)
"""Of an appointment; states that lead nowhere are terminal."""

TICKETS: StateMachine[T, TicketTransition] = StateMachine(
    {
        (T.WAITING, TicketTransition.CALL): T.CALLED,
        (T.WAITING, TicketTransition.HAND_OVER): T.WAITING,
        (T.CALLED, TicketTransition.CALL): T.CALLED,
        (T.CALLED, TicketTransition.SERVE): T.SERVED,
        (T.CALLED, TicketTransition.MISS): T.MISSED,
        (T.CALLED, TicketTransition.HAND_OVER): T.WAITING,
        (T.MISSED, TicketTransition.REJOIN): T.WAITING,
    },
    refused=AppointmentTransitionRefused,
)
"""Of a queue number: called again while called; missed numbers may come back into the queue."""


STATE_NAMES: dict[S, str] = {
    S.HELD: "预留中",
    S.BOOKED: "已预约",
    S.CHECKED_IN: "已签到",
    S.SERVED: "已办理",
    S.MISSED: "未到场",
    S.CANCELLED: "已取消",
    S.EXPIRED: "预留已失效",
}
TICKET_STATE_NAMES: dict[T, str] = {T.WAITING: "等候中", T.CALLED: "正在叫号", T.SERVED: "已办结", T.MISSED: "已过号"}


def as_data() -> dict[str, object]:
    """Both machines as data, for front ends."""
    return {"appointment": APPOINTMENTS.as_data(STATE_NAMES), "ticket": TICKETS.as_data(TICKET_STATE_NAMES)}
