"""The data: 200,000 cases of 20,000 residents with five events each, as pushing them would have left them.

Written with COPY, because pushing a million events over HTTP would take longer than the benchmark. Paths, states and
due dates come from the product's own lifecycle and calendar, so the rows are what the product would have written.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from backend.calendar import PUBLISHED
from backend.cases.deadlines import Clock, Convention, clock_of, count_deadline
from backend.cases.lifecycle import Folded, fold, folded_event
from backend.cases.vocabulary import kind_of
from backend.crypto import fingerprint, seal
from benchmarks.databases import new_residents

ITEM = "12441500196720244T3442199806003"
CASES_EACH = 10
LIMIT = 15
FIRST_DAY = datetime(2026, 3, 2, 1, tzinfo=UTC)
STORIES = (
    (("收件", 0), ("补正", 20), ("补正收件", 1500), ("受理", 1560), ("审查", 2900)),
    (("收件", 0), ("受理", 30), ("审查", 1400), ("决定", 5800), ("办结", 7300)),
    (("受理", 10), ("审查", 700), ("中止", 1500), ("恢复", 5900), ("决定", 8700)),
    (("收件", 0), ("受理", 30), ("审查", 1400), ("不予许可", 5800), ("送达", 6100)),
)
"""Codes and minutes after the case came in."""
REMARKS = (None, "您的申请已受理，请保持手机畅通。", None, "请携带身份证原件到综合窗口领取结果。", "材料已收到。")
MATERIALS = msgspec.json.encode([{"name": "户口簿原件", "ref": "hukou", "note": None}]).decode()


@lru_cache(maxsize=512)
def _lived(story: int, day: int) -> tuple[Folded, Clock, str, Any, list[Any]]:
    """What a story that began on this day came to: folded, and its due date."""
    began = FIRST_DAY + timedelta(days=day)
    folded = fold(
        folded_event(began + timedelta(minutes=minutes), kind_of(code), f"{number}")
        for number, (code, minutes) in enumerate(STORIES[story])
    )
    counted = count_deadline(clock_of(folded), LIMIT, PUBLISHED, Convention(17, same_day=False))
    due = msgspec.json.encode(counted.due).decode()
    return folded, clock_of(folded), due, counted.due.on, counted.counted


class Case:
    """One case, before it becomes rows."""

    def __init__(self, number: int, owner: UUID, chance: random.Random) -> None:
        self.id, self.owner = uuid7(), owner
        self.number = f"{ITEM}20260302{number:06d}"
        self.story, self.day = chance.randrange(len(STORIES)), chance.randrange(120)
        self.began = FIRST_DAY + timedelta(days=self.day)

    def row(self, agency: UUID) -> tuple[Any, ...]:
        """The row of `cases`, in the order of CASE_COLUMNS."""
        folded, clock, due, due_on, counted = _lived(self.story, self.day)
        phone, last = "13800138000", self.began + timedelta(minutes=STORIES[self.story][-1][1])
        return (
            self.id, self.began, self.number, agency, agency, None, ITEM, "居民身份证换领", "居民身份证到期换领",
            self.began, LIMIT, seal(phone, where="cases.applicant_phone", row=self.id), fingerprint(phone, "phone"),
            self.owner, self.began, folded.state.value, folded.since, None, last,
            clock.accepted_at, clock.ended_at, due_on, due, counted, 1,
        )  # fmt: skip

    def events(self, agency: UUID) -> Iterator[tuple[Any, ...]]:
        """The rows of `case_events`, in the order of EVENT_COLUMNS."""
        folded = _lived(self.story, self.day)[0]
        for number, step in enumerate(folded.steps):
            code = STORIES[self.story][number][0]
            yield (
                uuid7(), step.event.at, agency, self.number, self.id, f"{number}", code, step.event.kind.value, None,
                step.event.at, step.event.rank, None, REMARKS[number], MATERIALS if code == "补正" else None, "0" * 64,
                [state.value for state in step.path], step.flag,
            )  # fmt: skip


CASE_COLUMNS = (
    "id", "created_at", "number", "agency_id", "department_id", "reference", "item_code", "item_name", "title",
    "received_at", "promised_days", "applicant_phone", "applicant_phone_fingerprint", "resident_id", "linked_at",
    "state", "state_at", "outcome", "last_event_at", "accepted_at", "ended_at", "due_on", "due", "counted_days",
    "version",
)  # fmt: skip
EVENT_COLUMNS = (
    "id", "created_at", "agency_id", "case_number", "case_id", "event_id", "code", "kind", "outcome", "occurred_at",
    "rank", "text", "public_remark", "materials", "digest", "path", "flag",
)  # fmt: skip


async def load(connection: asyncpg.Connection[Any], count: int) -> list[Case]:
    """Fill the tables and bring the planner up to date; the cases that were written."""
    chance, agency = random.Random(2026), uuid7()
    owners = await new_residents(connection, max(1, count // CASES_EACH))
    made = [Case(number, owners[number % len(owners)], chance) for number in range(count)]
    for start in range(0, count, 20_000):
        part = made[start : start + 20_000]
        await connection.copy_records_to_table("cases", records=[c.row(agency) for c in part], columns=CASE_COLUMNS)
        rows = [row for case in part for row in case.events(agency)]
        await connection.copy_records_to_table("case_events", records=rows, columns=EVENT_COLUMNS)
    # Vacuumed as autovacuum would have left it, so that reads do not write hint bits while they are measured.
    for table in ("residents", "cases", "case_events"):
        await connection.execute(f"VACUUM (ANALYZE, FREEZE) {table}")
    return made
