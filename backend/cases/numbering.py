"""办件编号: the number of a case, by a rule that the place decides.

By default 31 characters of the item's 实施编码, the day in Asia/Shanghai as YYYYMMDD and a daily sequence of four
digits [seen in practice; provinces differ, hence `case_number_format`]. The sequence is a row per item and day, taken
in the transaction that creates the case: no gap, no number twice. When it is used up the case is refused and an alarm
recorded; raising `case_number_sequence_max` lets the sequence grow longer digits.
"""

from __future__ import annotations

import string
from datetime import date
from uuid import NAMESPACE_URL, UUID, uuid5

from backend import clock
from backend.cases.errors import CaseNumbersUsedUp
from backend.cases.events import CaseNumbersExhausted, CaseNumbersRunningOut
from backend.database import execute, fetch_value, transaction
from backend.events import record
from backend.settings import SettingsError, settings

LONGEST = 64
_FIELDS = {"item", "date", "sequence"}

_TAKE = """
INSERT INTO case_sequences (item_code, day, used) VALUES ($1, $2, 1)
ON CONFLICT (item_code, day) DO UPDATE SET used = case_sequences.used + 1 WHERE case_sequences.used < $3
RETURNING used
"""


def check_rule(template: str, largest: int) -> None:
    """Refuse a rule that could give two cases one number, or a number that does not fit.

    Raises SettingsError.
    """
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
        longest = template.format(item="1" * 31, date="20260101", sequence=largest)
    except (ValueError, KeyError, IndexError) as error:
        raise SettingsError(f"CASE_NUMBER_FORMAT cannot be filled in: {error}") from error
    if used != _FIELDS:
        raise SettingsError("CASE_NUMBER_FORMAT must use item, date and sequence, and nothing else")
    if len(longest) > LONGEST or longest != longest.upper():
        raise SettingsError(f"CASE_NUMBER_FORMAT makes numbers that are not {LONGEST} upper-case characters or fewer")
    if largest < 1:
        raise SettingsError("CASE_NUMBER_SEQUENCE_MAX must be at least 1")


def format_number(item_code: str, day: date, sequence: int) -> str:
    """The number as the rule in force writes it."""
    rule = settings().case_number_format
    return rule.format(item=item_code, date=f"{day:%Y%m%d}", sequence=sequence).upper()


async def next_number(item_code: str) -> str:
    """Take the next number of the item for today. Belongs into the transaction that creates the case.

    Raises CaseNumbersUsedUp when the day's sequence is used up; nothing is taken then. See `alarm_used_up`.
    """
    values, day = settings(), clock.today()
    check_rule(values.case_number_format, values.case_number_sequence_max)
    async with transaction():
        sequence = await fetch_value(_TAKE, item_code, day, values.case_number_sequence_max)
        if sequence is None:
            raise CaseNumbersUsedUp(item_code=item_code, day=day.isoformat(), limit=values.case_number_sequence_max)
        if sequence == max(1, values.case_number_sequence_max * 9 // 10):
            await record(
                CaseNumbersRunningOut(
                    alarm_id=_alarm(item_code, day),
                    item_code=item_code,
                    day=day,
                    used=sequence,
                    limit=values.case_number_sequence_max,
                )
            )
    return format_number(item_code, day, sequence)


async def alert_used_up(item_code: str) -> None:
    """Record, once per item and day, that cases are being refused: the refusal itself was rolled back."""
    day = clock.today()
    async with transaction():
        first = await execute(
            "UPDATE case_sequences SET exhausted_at = now() WHERE item_code = $1 AND day = $2 AND exhausted_at IS NULL",
            item_code,
            day,
        )
        if first:
            limit = settings().case_number_sequence_max
            alarm = CaseNumbersExhausted(alarm_id=_alarm(item_code, day), item_code=item_code, day=day, limit=limit)
            await record(alarm)


def _alarm(item_code: str, day: date) -> UUID:
    return uuid5(NAMESPACE_URL, f"zhangban:numbers:{item_code}:{day}")
