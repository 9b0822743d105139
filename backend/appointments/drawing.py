"""The draw (摇号): everybody who asks in time has the same chance, and anybody can check that it was so.

Before entries are taken, the SHA-256 of a secret seed is published. Afterwards the seed and the list of entries are.
`draw(seed, entries)` puts the entries in an order that depends on both, so neither we (who committed to the seed before
we saw the list) nor any one entrant (who does not know it) can choose it, and being first or fast is worth nothing. The
places are then given in that order, each to the first of the wished-for slots that has one left.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.appointments import strikes
from backend.appointments.acting import person_for
from backend.appointments.errors import (
    AlreadyEntered,
    BookingBlocked,
    DrawClosed,
    DrawNotFound,
    ItemNotHandled,
    PersonNotFound,
    SlotNotFound,
)
from backend.appointments.events import AppointmentBooked, DrawEntered, DrawHeld, DrawLost
from backend.appointments.places import lock_slots, new_number
from backend.database import execute, fetch, fetch_row, fetch_value, row_as, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsResident
from models.appointments import ACTIVE

PREPARED = timedelta(hours=24)
"""How long before the release the digest of the seed is public at the latest."""
MOST_DRAW_SLOTS = 20


def digest_of_seed(seed: str) -> str:
    """What is published before: the SHA-256 of the seed's 32 bytes. Both are hexadecimal."""
    return hashlib.sha256(bytes.fromhex(seed)).hexdigest()


def digest_of_entries(entries: Iterable[UUID]) -> str:
    """The SHA-256 of the entries' ids: the 16 bytes of each, in ascending order, one after the other."""
    return hashlib.sha256(b"".join(sorted(each.bytes for each in entries))).hexdigest()


def draw_order(seed: str, entries: Iterable[UUID]) -> list[UUID]:
    """The order in which entries are served; pure, so that anybody can do it again.

    Each entry is ranked by SHA-256(seed ‖ digest of all entries ‖ entry): 32, 32 and 16 bytes; the smallest is first.
    The order in which the entries are given does not matter, and neither does one that is given twice.
    """
    unique = set(entries)
    prefix = bytes.fromhex(seed) + bytes.fromhex(digest_of_entries(unique))
    return sorted(unique, key=lambda each: hashlib.sha256(prefix + each.bytes).digest())


def allot_places(
    order: Sequence[UUID], wishes: Mapping[UUID, Sequence[UUID]], places: Mapping[UUID, int]
) -> dict[UUID, UUID]:
    """Which entry gets which slot: in this order, each the first of its wishes that has a place left; pure."""
    left, given = dict(places), {}
    for entry in order:
        for slot in wishes[entry]:
            if left.get(slot, 0) > 0:
                left[slot] -= 1
                given[entry] = slot
                break
    return given


class DrawDetail(Struct, frozen=True, kw_only=True):
    """A draw as everybody sees it before it was held."""

    id: UUID
    line_id: UUID
    day: date
    opens_at: datetime
    closes_at: datetime
    seed_digest: str
    entries: int
    drawn_at: datetime | None


class DrawEntryDetail(Struct, frozen=True, kw_only=True):
    """An entry in the proof, without a name. A resident knows the id of their own entry.

    `passed_over`: a place was left, but by then the person had an appointment that day, or too many on the line.
    """

    id: UUID
    rank: int
    slot_ids: list[UUID]
    slot_id: UUID | None
    passed_over: bool


class DrawProof(Struct, frozen=True, kw_only=True):
    """Everything that is needed to do the draw again. `places` had each slot when it was held."""

    draw: DrawDetail
    seed: str | None
    entries_digest: str | None
    places: dict[str, int]
    entries: list[DrawEntryDetail]


class DrawEntryReceipt(Struct, frozen=True, kw_only=True):
    """The receipt of an entry: with its id one finds oneself in the proof."""

    id: UUID
    draw_id: UUID
    day: date
    slot_ids: list[UUID]
    closes_at: datetime
    seed_digest: str


_PREPARE = """
SELECT s.line_id, s.day, min(s.release_at) AS opens_at, l.draw_seconds
FROM slots s JOIN service_lines l ON l.id = s.line_id
WHERE l.admission = 'draw' AND l.active AND s.closed_at IS NULL AND s.starts_at > now()
  AND NOT EXISTS (SELECT 1 FROM draws d WHERE d.line_id = s.line_id AND d.day = s.day)
GROUP BY s.line_id, s.day, l.draw_seconds HAVING min(s.release_at) <= now() + $1::interval
"""


async def prepare_draws() -> int:
    """Scheduled: choose seeds and publish their digests for days that are released within `PREPARED`; how many.

    A day whose release came before its preparation opens now, for its full time: no resident loses time.
    """
    rows = await fetch(_PREPARE, PREPARED)
    made = 0
    for row in rows:
        seed = secrets.token_hex(32)
        made += await execute(
            "INSERT INTO draws (id, created_at, line_id, day, opens_at, closes_at, seed, seed_digest) "
            "VALUES ($1, now(), $2, $3, greatest($4, now()), greatest($4, now()) + make_interval(secs => $5), $6, $7) "
            "ON CONFLICT DO NOTHING",
            uuid7(),
            row["line_id"],
            row["day"],
            row["opens_at"],
            row["draw_seconds"],
            seed,
            digest_of_seed(seed),
        )
    return made


_ENTER = f"""
SELECT d.id, d.closes_at, d.seed_digest, d.opens_at <= now() AND d.closes_at > now() AND d.drawn_at IS NULL AS open,
       (SELECT li.item_id FROM line_items li JOIN service_items i ON i.id = li.item_id
        WHERE li.line_id = d.line_id AND i.code = $3) AS item_id,
       (SELECT count(*) FROM slots s WHERE s.id = ANY($4::uuid[]) AND s.line_id = d.line_id AND s.day = d.day) AS known,
       EXISTS (SELECT 1 FROM appointments a WHERE a.person_id = $5 AND a.day = $2 AND a.{ACTIVE} AND a.item_id =
           (SELECT id FROM service_items WHERE code = $3)) AS booked
FROM draws d WHERE d.line_id = $1 AND d.day = $2 FOR SHARE OF d
"""


@raises(DrawNotFound, PersonNotFound, DrawClosed, ItemNotHandled, SlotNotFound, AlreadyEntered, BookingBlocked)
async def enter_draw(
    resident: AsResident,
    line_id: UUID,
    day: date,
    item_code: str,
    slot_ids: Sequence[UUID],
    *,
    person_id: UUID | None = None,
) -> DrawEntryReceipt:
    """Take part in the draw of a line and day, with the slots one would like, best first.

    Raises DrawClosed outside its time by the database's clock, SlotNotFound for a slot of another line or day.
    """
    person = await person_for(resident, person_id)
    wishes = list(dict.fromkeys(slot_ids))
    entry_id = uuid7()
    async with transaction():
        found = await fetch_row(_ENTER, line_id, day, item_code, wishes, person)
        if found is None:
            raise DrawNotFound
        _refuse(found, len(wishes))
        await strikes.refuse_blocked(person, line_id)
        await _insert(entry_id, found, resident.id, person, wishes)
        await record(DrawEntered(draw_id=found["id"], resident_id=resident.id))
    return DrawEntryReceipt(
        id=entry_id,
        draw_id=found["id"],
        day=day,
        slot_ids=wishes,
        closes_at=found["closes_at"],
        seed_digest=found["seed_digest"],
    )


def _refuse(found: asyncpg.Record, wishes: int) -> None:
    if not found["open"]:
        raise DrawClosed
    if found["item_id"] is None:
        raise ItemNotHandled
    if not wishes or found["known"] != wishes:
        raise SlotNotFound
    if found["booked"]:
        raise AlreadyEntered


async def _insert(entry_id: UUID, found: asyncpg.Record, resident_id: UUID, person: UUID, wishes: list[UUID]) -> None:
    try:
        await execute(
            "INSERT INTO draw_entries (id, created_at, draw_id, resident_id, person_id, item_id, slot_ids) "
            "VALUES ($1, now(), $2, $3, $4, $5, $6)",
            entry_id,
            found["id"],
            resident_id,
            person,
            found["item_id"],
            wishes,
        )
    except asyncpg.UniqueViolationError as error:
        raise AlreadyEntered from error


async def hold_due_draws() -> int:
    """Scheduled: hold every draw whose time is over and that was not held; how many. Two workers hold none twice."""
    rows = await fetch("SELECT id FROM draws WHERE drawn_at IS NULL AND closes_at <= now() ORDER BY closes_at LIMIT 20")
    return sum([await hold_draw(row["id"]) for row in rows])


class _Entry(NamedTuple):
    id: UUID
    resident_id: UUID
    person_id: UUID
    item_id: UUID
    slot_ids: list[UUID]


async def hold_draw(draw_id: UUID) -> bool:
    """Hold this draw, in one transaction, if its time is over and it was not held; whether it was held now.

    Entries wait for the row that this locks, and find the draw over.
    """
    async with transaction():
        found = await fetch_row(
            "SELECT id, line_id, day, seed FROM draws WHERE id = $1 AND drawn_at IS NULL AND closes_at <= now() "
            "FOR UPDATE SKIP LOCKED",
            draw_id,
        )
        if found is None:
            return False
        rows = await fetch(
            "SELECT id, resident_id, person_id, item_id, slot_ids FROM draw_entries WHERE draw_id = $1", draw_id
        )
        entries = {row["id"]: _Entry(**row) for row in rows}
        order = draw_order(found["seed"], entries)
        places = await _free(found)
        won = await _give(found, order, entries, dict(places))
        await _persist(draw_id, order, won, places)
        await _record_results(draw_id, order, entries, won)
    return True


_OPEN_SLOTS = """
SELECT id, capacity - held - booked AS free FROM slots
WHERE line_id = $1 AND day = $2 AND closed_at IS NULL AND starts_at > now() ORDER BY starts_at
"""


async def _free(found: asyncpg.Record) -> dict[UUID, int]:
    """The places that the day's slots have now, locked."""
    ids = await fetch(_OPEN_SLOTS, found["line_id"], found["day"])
    await lock_slots(*(row["id"] for row in ids))
    rows = await fetch(_OPEN_SLOTS, found["line_id"], found["day"])
    return {row["id"]: row["free"] for row in rows}


class _Won(NamedTuple):
    appointment_id: UUID
    slot_id: UUID
    starts_at: datetime


# No second appointment for the item and day, and no more than the line allows: no row, then the next entry is tried.
_BOOK = f"""
INSERT INTO appointments (id, created_at, changed_at, number, slot_id, resident_id, person_id, line_id, item_id, day,
                          state, from_waiting_list)
SELECT $1, now(), now(), $2, s.id, $4, $5, s.line_id, $6, s.day, 'booked', false
FROM slots s JOIN service_lines l ON l.id = s.line_id
WHERE s.id = $3 AND (SELECT count(*) FROM appointments
                     WHERE person_id = $5 AND line_id = s.line_id AND {ACTIVE}) < l.person_limit
ON CONFLICT DO NOTHING RETURNING (SELECT starts_at FROM slots WHERE id = $3)
"""


async def _give(
    found: asyncpg.Record, order: list[UUID], entries: dict[UUID, _Entry], left: dict[UUID, int]
) -> dict[UUID, _Won]:
    """Give the places in this order; what `allot` says, except for those who cannot take one any more."""
    won: dict[UUID, _Won] = {}
    for each in order:
        entry = entries[each]
        slot_id = next((slot for slot in entry.slot_ids if left.get(slot, 0) > 0), None)
        if slot_id is None:
            continue
        new, number = uuid7(), new_number(found["day"])
        starts_at = await fetch_value(_BOOK, new, number, slot_id, entry.resident_id, entry.person_id, entry.item_id)
        if starts_at is not None:
            left[slot_id] -= 1
            won[each] = _Won(new, slot_id, starts_at)
    return won


async def _persist(draw_id: UUID, order: list[UUID], won: dict[UUID, _Won], places: Mapping[UUID, int]) -> None:
    given = [each.slot_id for each in won.values()]
    for slot_id in sorted(set(given)):
        await execute("UPDATE slots SET booked = booked + $2 WHERE id = $1", slot_id, given.count(slot_id))
    await execute(
        "UPDATE draw_entries SET rank = t.rank, appointment_id = t.appointment, slot_id = t.slot FROM "
        "unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[]) AS t(entry, rank, appointment, slot) "
        "WHERE id = t.entry",
        order,
        list(range(1, len(order) + 1)),
        [won[each].appointment_id if each in won else None for each in order],
        [won[each].slot_id if each in won else None for each in order],
    )
    await execute(
        "UPDATE draws SET drawn_at = clock_timestamp(), entries_digest = $2, places = $3 WHERE id = $1",
        draw_id,
        digest_of_entries(order),
        [f"{slot_id}={free}" for slot_id, free in places.items()],
    )


async def _record_results(draw_id: UUID, order: list[UUID], entries: dict[UUID, _Entry], won: dict[UUID, _Won]) -> None:
    for each in order:
        resident_id = entries[each].resident_id
        if each in won:
            await record(AppointmentBooked(resident_id=resident_id, **won[each]._asdict()))
        else:
            await record(DrawLost(draw_id=draw_id, resident_id=resident_id, entry_id=each))
    await record(DrawHeld(draw_id=draw_id, entries=len(order), winners=len(won)))


_PROOF = """
SELECT d.id, d.line_id, d.day, d.opens_at, d.closes_at, d.seed_digest, d.drawn_at, d.seed, d.entries_digest, d.places,
       (SELECT count(*) FROM draw_entries e WHERE e.draw_id = d.id) AS entries
FROM draws d WHERE d.line_id = $1 AND d.day = $2
"""
_ENTRIES = "SELECT id, rank, slot_ids, slot_id FROM draw_entries WHERE draw_id = $1 ORDER BY rank"


@raises(DrawNotFound)
async def get_draw_proof(line_id: UUID, day: date) -> DrawProof:
    """The draw of a line and day: before it was held its times and the seed's digest, afterwards everything."""
    row = await fetch_row(_PROOF, line_id, day)
    if row is None:
        raise DrawNotFound
    draw = row_as(DrawDetail, row)
    if draw.drawn_at is None:
        return DrawProof(draw=draw, seed=None, entries_digest=None, places={}, entries=[])
    places = {slot: int(free) for slot, _, free in (each.partition("=") for each in row["places"])}
    entries = _proof_entries(await fetch(_ENTRIES, row["id"]), places)
    return DrawProof(draw=draw, seed=row["seed"], entries_digest=row["entries_digest"], places=places, entries=entries)


def _proof_entries(rows: Sequence[asyncpg.Record], places: Mapping[str, int]) -> list[DrawEntryDetail]:
    """The entries in their order; an entry without a place although a wish had one left was skipped."""
    left, shown = dict(places), []
    for row in rows:
        won = row["slot_id"]
        could = any(left.get(str(slot), 0) > 0 for slot in row["slot_ids"])
        if won is not None:
            left[str(won)] = left.get(str(won), 0) - 1
        shown.append(row_as(DrawEntryDetail, {**row, "passed_over": won is None and could}))
    return shown
