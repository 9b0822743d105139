"""State machines as data: one table of (state, transition) → state, and one function that refuses the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from backend.errors import Conflict

S = TypeVar("S", bound=StrEnum)
T = TypeVar("T", bound=StrEnum)


class StateMachine(Generic[S, T]):
    """The transitions of one kind of row, and the error that any other transition raises."""

    __slots__ = ("refused", "transitions")

    def __init__(self, transitions: Mapping[tuple[S, T], S], *, refused: type[Conflict]) -> None:
        self.transitions: Mapping[tuple[S, T], S] = MappingProxyType(dict(transitions))
        self.refused = refused

    def after(self, state: S, transition: T) -> S:
        """The state that the transition leads to. Raises `refused`, with the transitions that the state allows."""
        try:
            return self.transitions[state, transition]
        except KeyError:
            raise self.refused(state=state, transition=transition, allowed=self.allowed(state)) from None

    def allows(self, state: S, transition: T) -> bool:
        """Whether the transition can be made in this state."""
        return (state, transition) in self.transitions

    def allowed(self, state: S) -> list[T]:
        """The transitions that can be made in this state, in alphabetical order."""
        return sorted(transition for origin, transition in self.transitions if origin == state)

    def states_allowing(self, *transitions: T) -> frozenset[S]:
        """The states in which at least one of the transitions can be made."""
        return frozenset(origin for origin, transition in self.transitions if transition in transitions)

    def as_data(self, names: Mapping[S, str]) -> dict[str, Any]:
        """The machine for front ends: states with Chinese names, and transitions. None leaves a terminal state."""
        origins = {origin for origin, _ in self.transitions}
        return {
            "states": [
                {"code": state, "name": name, "terminal": state not in origins} for state, name in names.items()
            ],
            "transitions": [
                {"transition": transition, "from": origin, "to": goal}
                for (origin, transition), goal in self.transitions.items()
            ],
        }
