"""What every simulated courier has in common: its addresses, its refusals, and pushes about its parcels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from backend.partner_settings.couriers import COURIERS
from backend.partners.courier.sandbox.pushing import CourierFault, CourierSender
from backend.partners.courier.sandbox.world import CourierWorld, Event, Parcel

Fields = dict[str, str]
Answer = dict[str, Any]
Call = Callable[[Fields], Answer | Awaitable[Answer]]


class CourierDesk(ABC):
    """One courier's side of a world. A courier that pushes nothing implements `calls` and `refused` only."""

    name: ClassVar[str]
    base_path: ClassVar[str] = ""
    """What its own address has behind `/couriers/<name>`."""
    operation_field: ClassVar[str] = ""
    """The field that names the operation of a call, where all calls come to one address."""
    operations: ClassVar[Mapping[str, str]] = {}
    """Value of that field, or path → what the test control calls the operation."""
    refusal_code: ClassVar[str] = ""
    """The code of a refusal for which a test names none."""
    code_fields: ClassVar[tuple[str, ...]] = ()
    """The fields of an answer that hold its code."""
    signs: ClassVar[bool] = True
    """Whether its pushes are signed."""

    def __init__(self, world: CourierWorld, pushes: CourierSender) -> None:
        self._world, self._pushes = world, pushes
        self.address = ""
        """Where its console says that pushes go."""

    @abstractmethod
    def calls(self) -> Mapping[str, Call]:
        """Path behind `/couriers/<name>` → what answers there."""

    @abstractmethod
    def refused(self, code: str, message: str) -> Answer:
        """An answer that refuses a call."""

    def operation(self, path: str, fields: Fields) -> str:
        """What the test control calls the operation of a call."""
        return self.operations.get(fields.get(self.operation_field, path), "unknown")

    def code(self, answer: Answer) -> str:
        """The code of an answer, for the record of calls."""
        codes = (answer.get(name) for name in self.code_fields)
        return next((each for each in codes if isinstance(each, str)), "ok" if answer.get("Success") else "refused")

    def push_to(self, base: str) -> None:  # noqa: B027 - optional
        """Set in its console where pushes go, where it has a console for that."""

    async def push_now(self, parcels: Sequence[Parcel], fault: CourierFault | None, *, named: bool) -> None:  # noqa: B027
        """Push what is known of these parcels once more. `named`: the test named this courier."""

    async def forge(self, parcel: Parcel, event: Event, fault: CourierFault) -> None:  # noqa: B027
        """Push an event that never happened."""

    def list_subscriptions(self) -> list[dict[str, Any]]:
        """Its subscriptions, as the test control shows them."""
        return []

    def may_print(self, parcel: Parcel, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers gets the label."""
        return True


def open_desks(world: CourierWorld, pushes: CourierSender) -> dict[str, CourierDesk]:
    """The desks of all declared couriers, by name."""
    desks = {}
    for name, declared in COURIERS.items():
        module, _, kind = declared.sandbox.partition(":")
        desks[name] = getattr(import_module(f"backend.partners.courier.sandbox.{module}"), kind)(world, pushes)
    return desks
