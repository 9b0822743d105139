"""The life of an appointment and of a queue number: which move leads where. Pure; served as data to the front end."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from backend.appointments.errors import AppointmentTransitionRefused
from models.appointments import AppointmentState as S
from models.appointments import TicketState as T


class Move(StrEnum):
    """What can happen to an appointment."""

    CONFIRM = "confirm"
    EXPIRE = "expire"
    CANCEL = "cancel"
    CHECK_IN = "check-in"
    SERVE = "serve"
    MISS = "miss"


class TicketMove(StrEnum):
    """What can happen to a queue number."""

    CALL = "call"
    SERVE = "serve"
    MISS = "miss"
    HAND_OVER = "hand-over"
    REJOIN = "rejoin"


MOVES: dict[tuple[S, Move], S] = {
    (S.HELD, Move.CONFIRM): S.BOOKED,
    (S.HELD, Move.EXPIRE): S.EXPIRED,
    (S.HELD, Move.CANCEL): S.CANCELLED,
    (S.BOOKED, Move.CANCEL): S.CANCELLED,
    (S.BOOKED, Move.CHECK_IN): S.CHECKED_IN,
    (S.BOOKED, Move.MISS): S.MISSED,
    (S.CHECKED_IN, Move.SERVE): S.SERVED,
    (S.CHECKED_IN, Move.MISS): S.MISSED,
}
"""An appointment's moves; states that lead nowhere are for ever."""

TICKET_MOVES: dict[tuple[T, TicketMove], T] = {
    (T.WAITING, TicketMove.CALL): T.CALLED,
    (T.WAITING, TicketMove.HAND_OVER): T.WAITING,
    (T.CALLED, TicketMove.CALL): T.CALLED,
    (T.CALLED, TicketMove.SERVE): T.SERVED,
    (T.CALLED, TicketMove.MISS): T.MISSED,
    (T.CALLED, TicketMove.HAND_OVER): T.WAITING,
    (T.MISSED, TicketMove.REJOIN): T.WAITING,
}
"""A queue number's moves: called again while called; missed numbers may come back into the queue."""


def moved(state: S, move: Move) -> S:
    """Where the move leads. Raises AppointmentTransitionRefused when it cannot be made in this state."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise AppointmentTransitionRefused(state=state, move=move) from None


def ticket_moved(state: T, move: TicketMove) -> T:
    """Where the move leads a queue number. Raises AppointmentTransitionRefused when it cannot be made in this state."""
    try:
        return TICKET_MOVES[state, move]
    except KeyError:
        raise AppointmentTransitionRefused(state=state, move=move) from None


STATE_NAMES: dict[S, str] = {
    S.HELD: "预留中",
    S.BOOKED: "已预约",
    S.CHECKED_IN: "已签到",
    S.SERVED: "已办理",
    S.MISSED: "未到场",
    S.CANCELLED: "已取消",
    S.EXPIRED: "预留已失效",
}
TICKET_STATE_NAMES: dict[T, str] = {
    T.WAITING: "等候中",
    T.CALLED: "正在叫号",
    T.SERVED: "已办结",
    T.MISSED: "已过号",
}


def as_data() -> dict[str, object]:
    """Both tables, for front ends and for whoever checks us."""
    return {"appointment": _machine(STATE_NAMES, MOVES), "ticket": _machine(TICKET_STATE_NAMES, TICKET_MOVES)}


def _machine(names: Mapping[Any, str], moves: Mapping[tuple[Any, Any], Any]) -> dict[str, object]:
    going = {origin for origin, _ in moves}
    return {
        "states": [{"code": code, "name": name, "terminal": code not in going} for code, name in names.items()],
        "moves": [{"move": move, "from": origin, "to": goal} for (origin, move), goal in moves.items()],
    }
