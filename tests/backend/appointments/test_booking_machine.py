"""The model of places (E-3): after any steps in any order, slots, appointments and lists are those of the model.

The machine runs in a thread and does everything on the loop of the tests, so that use cases and PostgreSQL are the real
ones. A burst sends many at once: the model says how many win, and as who they are is chance, they leave again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from backend.appointments import booking, cancelling, rescheduling, waiting
from backend.appointments.errors import (
    AlreadyBooked,
    AlreadyWaiting,
    AppointmentLimitExceeded,
    AppointmentTransitionRefused,
    HoldExpired,
    PlacesLeft,
    SlotFull,
)
from backend.appointments.places import Booking
from backend.database import execute, fetch
from backend.errors import DomainError
from models.appointments import Slot
from tests.factories.appointments import a_line, a_slot, item_of, many_people
from tests.machines import Machine, play

T = TypeVar("T")
PEOPLE, LIMIT = 5, 2
people = st.integers(0, PEOPLE - 1)
slots = st.integers(0, 3)


@dataclass
class Held:
    """An appointment as the model knows it."""

    person: int
    slot: int
    state: str
    from_list: bool = False


@dataclass
class Entry:
    """A resident in a waiting list."""

    person: int
    day: int
    state: str = "waiting"
    appointment: UUID | None = None


class Places(Machine):
    """Two days with two slots each, and a few people who want the same things."""

    def tried(self, work: Awaitable[T]) -> T | type[DomainError]:
        try:
            return self.do(work)
        except DomainError as trouble:
            return type(trouble)

    @initialize(capacities=st.lists(st.sampled_from([1, 1, 2, 0]), min_size=4, max_size=4))
    def begin(self, capacities: list[int]) -> None:
        self.capacity, self.days = capacities, [0, 0, 1, 1]
        self.made: dict[UUID, Held] = {}
        self.entries: dict[UUID, Entry] = {}
        self.do(self._begin())

    async def _begin(self) -> None:
        self.line = await a_line(person_limit=LIMIT)
        self.item, self.crowd = await item_of(self.line), await many_people(PEOPLE)
        self.slots: list[Slot] = []
        for n, capacity in enumerate(self.capacity):
            starts_in = timedelta(days=1 + 2 * self.days[n], minutes=n % 2)
            day = {"day": self.slots[n - 1].day} if n % 2 else {}
            self.slots.append(await a_slot(capacity, self.line, starts_in=starts_in, **day))
        self.numbers = {slot.id: n for n, slot in enumerate(self.slots)}

    # -- what the model says -------------------------------------------------------------------------------------

    def active(self, person: int) -> list[Held]:
        return [each for each in self.made.values() if each.person == person and each.state in ("held", "booked")]

    def free(self, slot: int) -> int:
        taken = sum(each.slot == slot and each.state in ("held", "booked") for each in self.made.values())
        return self.capacity[slot] - taken

    def has(self, person: int, day: int) -> bool:
        return any(self.days[each.slot] == day for each in self.active(person))

    def refusal(self, person: int, slot: int) -> type[DomainError] | None:
        if self.has(person, self.days[slot]):
            return AlreadyBooked
        if self.free(slot) <= 0:
            return SlotFull
        return AppointmentLimitExceeded if len(self.active(person)) >= LIMIT else None

    def offer(self, slot: int) -> None:
        """The first who can take the place holds it; ids are taken over from the database."""
        for entry in [each for each in self.entries.values() if each.state == "waiting"]:
            if entry.day != self.days[slot] or self.free(slot) <= 0:
                continue
            if self.has(entry.person, entry.day) or len(self.active(entry.person)) >= LIMIT:
                entry.state = "left"
                continue
            entry.state = "offered"
            entry.appointment = self.do(self._offered(entry))
            self.made[entry.appointment] = Held(entry.person, slot, "held", from_list=True)

    async def _offered(self, entry: Entry) -> UUID:
        key = next(key for key, each in self.entries.items() if each is entry)
        (row,) = await fetch("SELECT appointment_id FROM waiting_entries WHERE id = $1 AND state = 'offered'", key)
        found: UUID = row["appointment_id"]
        return found

    def gone(self, key: UUID, state: str, how: str) -> None:
        held = self.made[key]
        for entry in self.entries.values():
            if entry.appointment == key and entry.state == "offered":
                entry.state = how
        held.state = state
        self.offer(held.slot)

    def any_in(self, *states: str) -> bool:
        return any(each.state in states for each in self.made.values())

    def some(self, data: st.DataObject, *states: str) -> UUID:
        return data.draw(st.sampled_from([key for key, each in self.made.items() if each.state in states]))

    # -- what is done --------------------------------------------------------------------------------------------

    @rule(person=people, slot=slots, held=st.booleans())
    def take_place(self, person: int, slot: int, held: bool) -> None:
        way = booking.hold_place if held else booking.book_place
        result = self.tried(way(self.crowd[person], self.slots[slot].id, self.item))
        expected = self.refusal(person, slot)
        if expected:
            assert result is expected
        else:
            assert isinstance(result, Booking), result
            self.made[result.id] = Held(person, slot, "held" if held else "booked")

    @precondition(lambda self: not any(each.state == "waiting" for each in self.entries.values()))
    @rule(slot=slots, each=st.integers(1, 3))
    def take_in_a_burst(self, slot: int, each: int) -> None:
        eligible = {p for p in range(PEOPLE) if not self.has(p, self.days[slot]) and len(self.active(p)) < LIMIT}
        room = self.free(slot)
        results = self.do(self._burst(slot, each))
        winners = [found for found in results if isinstance(found, Booking)]
        assert len(winners) == max(0, min(room, len(eligible)))
        for found in winners:
            person = next(p for p in range(PEOPLE) if self.crowd[p].id == found.person_id)
            assert person in eligible
            eligible.discard(person)
            self.do(cancelling.cancel_appointment(self.crowd[person], found.id))
            self.made[found.id] = Held(person, slot, "cancelled")
        assert all(
            isinstance(found, Booking | AlreadyBooked | SlotFull | AppointmentLimitExceeded) for found in results
        ), results

    async def _burst(self, slot: int, each: int) -> list[Any]:
        taps = [booking.book_place(who, self.slots[slot].id, self.item) for who in self.crowd for _ in range(each)]
        return list(await asyncio.gather(*taps, return_exceptions=True))

    @precondition(lambda self: self.any_in("held"))
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        key = self.some(data, "held")
        held = self.made[key]
        assert isinstance(self.tried(booking.confirm_booking(self.crowd[held.person], key)), Booking)
        held.state = "booked"
        for entry in self.entries.values():
            if entry.appointment == key:
                entry.state = "taken"

    @precondition(lambda self: self.any_in("held", "booked"))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key = self.some(data, "held", "booked")
        assert isinstance(self.tried(cancelling.cancel_appointment(self.crowd[self.made[key].person], key)), Booking)
        self.gone(key, "cancelled", "declined")

    @precondition(lambda self: self.any_in("cancelled", "expired"))
    @rule(data=st.data(), slot=slots)
    def wake_the_dead(self, data: st.DataObject, slot: int) -> None:
        key = self.some(data, "cancelled", "expired")
        who, state = self.crowd[self.made[key].person], self.made[key].state
        assert self.tried(booking.confirm_booking(who, key)) is (
            HoldExpired if state == "expired" else AppointmentTransitionRefused
        )
        assert self.tried(cancelling.cancel_appointment(who, key)) is AppointmentTransitionRefused
        assert (
            self.tried(rescheduling.reschedule_appointment(who, key, self.slots[slot].id))
            is AppointmentTransitionRefused
        )

    @precondition(lambda self: self.any_in("held"))
    @rule(data=st.data(), confirming=st.booleans())
    def run_out(self, data: st.DataObject, confirming: bool) -> None:
        key = self.some(data, "held")
        self.do(execute("UPDATE appointments SET hold_until = now() WHERE id = $1", key))
        if confirming:
            assert self.tried(booking.confirm_booking(self.crowd[self.made[key].person], key)) is HoldExpired
        assert self.do(cancelling.expire_holds()) == 1
        self.gone(key, "expired", "lapsed")

    @precondition(lambda self: self.any_in("held", "booked"))
    @rule(data=st.data(), slot=slots)
    def reschedule(self, data: st.DataObject, slot: int) -> None:
        key = self.some(data, "booked") if self.any_in("booked") else self.some(data, "held")
        held = self.made[key]
        result = self.tried(rescheduling.reschedule_appointment(self.crowd[held.person], key, self.slots[slot].id))
        if held.state != "booked":
            assert result is AppointmentTransitionRefused
        elif slot == held.slot:
            assert isinstance(result, Booking)
        elif self.free(slot) <= 0:
            assert result is SlotFull
        elif self.days[slot] != self.days[held.slot] and self.has(held.person, self.days[slot]):
            assert result is AlreadyBooked
        else:
            assert isinstance(result, Booking), result
            left, held.slot = held.slot, slot
            self.offer(left)

    @rule(slot=slots, capacity=st.integers(0, 3))
    def change_capacity(self, slot: int, capacity: int) -> None:
        """As the hall does it: never below what is taken. The clock notices places that appear."""
        sql = "UPDATE slots SET capacity = $2 WHERE id = $1 AND held + booked <= $2"
        changed = self.do(execute(sql, self.slots[slot].id, capacity))
        assert bool(changed) == (self.capacity[slot] - self.free(slot) <= capacity)
        if changed:
            self.capacity[slot] = capacity

    @rule(day=st.integers(0, 1), whoever=st.permutations(range(PEOPLE)))
    def several_wait(self, day: int, whoever: list[int]) -> None:
        for person in whoever[:3]:
            self.wait(person, day)

    @rule(person=people, day=st.integers(0, 1))
    def wait(self, person: int, day: int) -> None:
        result = self.tried(
            waiting.join_waiting_list(self.crowd[person], self.line.id, self.slots[day * 2].day, self.item)
        )
        waits = any(e.person == person and e.day == day and e.state == "waiting" for e in self.entries.values())
        if self.has(person, day):
            assert result is AlreadyBooked
        elif sum(self.free(n) for n in range(4) if self.days[n] == day) > 0:
            assert result is PlacesLeft
        elif waits:
            assert result is AlreadyWaiting
        else:
            assert isinstance(result, waiting.WaitingEntryDetail), result
            self.entries[result.id] = Entry(person, day)

    @precondition(lambda self: any(each.state == "waiting" for each in self.entries.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key, each in self.entries.items() if each.state == "waiting"]))
        self.do(waiting.leave_waiting_list(self.crowd[self.entries[key].person], key))
        self.entries[key].state = "left"

    @rule()
    def the_clock(self) -> None:
        self.do(waiting.offer_free_places())
        for slot in range(4):
            self.offer(slot)
        assert self.do(cancelling.expire_holds()) == 0

    @invariant()
    def the_database_is_the_model(self) -> None:
        if not hasattr(self, "numbers"):
            return
        line_id = self.line.id
        found = self.do(fetch("SELECT id, slot_id, state FROM appointments WHERE line_id = $1", line_id))
        assert {row["id"]: (self.numbers[row["slot_id"]], row["state"]) for row in found} == {
            key: (each.slot, each.state) for key, each in self.made.items()
        }
        for row in self.do(fetch("SELECT id, capacity, held, booked FROM slots WHERE line_id = $1", line_id)):
            slot = self.numbers[row["id"]]
            counted = [each.state for each in self.made.values() if each.slot == slot]
            assert (row["capacity"], row["held"], row["booked"]) == (
                self.capacity[slot],
                counted.count("held"),
                counted.count("booked"),
            )
        listed = self.do(fetch("SELECT id, state FROM waiting_entries WHERE line_id = $1", line_id))
        assert {row["id"]: row["state"] for row in listed} == {key: e.state for key, e in self.entries.items()}


async def test_places_are_always_those_of_the_model():
    await play(Places, examples=50, steps=40)
