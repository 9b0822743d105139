"""The consent ledger: what a resident allows us to send, line by line, and the balance now.

Two sources report the same popup: the front end passes on the result of `wx.requestSubscribeMessage`, and WeChat pushes
`subscribe_msg_popup_event`. Either may be lost, and the two come in any order. So the first report counts, and the
other one, when it comes within `consent_pairing_seconds`, is recorded as its pair and changes nothing. One popup is
never counted twice. (It can be counted too little when one report from each of two popups is lost within that time;
then one message takes the next channel.)

The balance is kept in a row of its own, and its lock is the first thing that every change takes: two changes at once
wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.database import fetch, transaction
from backend.settings import settings
from models.notifications import ConsentAnswer, ConsentKind, ConsentSource
from notifications.templates import PartnerTemplate, partner_templates


class Report(NamedTuple):
    """One report about the consent of a resident to one template."""

    template_id: str
    answer: ConsentAnswer
    source: ConsentSource
    source_id: str
    """The same for every repeat of this report, and for nothing else."""
    happened_at: datetime


class Balance(NamedTuple):
    """What a resident allows for one template."""

    kind: ConsentKind
    remaining: int = 0
    standing: bool = False
    banned: bool = False
    accepted_at: datetime | None = None
    withdrawn_at: datetime | None = None

    @property
    def allows(self) -> bool:
        """Whether a message may be sent now."""
        return not self.banned and (self.remaining > 0 or self.standing)


def balance_after(now: Balance, answer: ConsentAnswer, source: ConsentSource, at: datetime) -> Balance:
    """The balance after one report that counts. Pure.

    Reports arrive out of order: a consent from before its withdrawal is void, and so is a withdrawal from before the
    consent was given again.
    """
    if answer is ConsentAnswer.ACCEPT:
        if now.withdrawn_at is not None and at <= now.withdrawn_at:
            return now
        accepted = now._replace(banned=False, accepted_at=max(at, now.accepted_at or at))
        if now.kind is ConsentKind.LONG_TERM:
            return accepted._replace(standing=True)
        return accepted._replace(remaining=now.remaining + 1)
    if answer is ConsentAnswer.BAN:
        return now._replace(banned=True)
    if answer is ConsentAnswer.USED:
        return now._replace(remaining=max(0, now.remaining - 1))
    if answer is ConsentAnswer.LOST or (
        answer is ConsentAnswer.REJECT
        # A refused popup takes nothing from what earlier popups allowed; a refusal in the settings takes everything.
        and (now.kind is ConsentKind.LONG_TERM or source is ConsentSource.CHANGE)
    ):
        if now.accepted_at is not None and at < now.accepted_at:
            return now
        return now._replace(remaining=0, standing=False, withdrawn_at=max(at, now.withdrawn_at or at))
    return now


def find_template(template_id: str) -> PartnerTemplate | None:
    """The mini-program template of this installation with WeChat's id."""
    return next((each for each in partner_templates().mini_program.values() if each.id == template_id), None)


_LOCK = """
INSERT INTO consent_balances (resident_id, template_id, kind, remaining, standing, banned, changed_at)
VALUES ($1, $2, $3, 0, false, false, now())
ON CONFLICT (resident_id, template_id) DO UPDATE SET kind = excluded.kind
RETURNING id, kind, remaining, standing, banned, accepted_at, withdrawn_at
"""
_PAIR = """
SELECT c.id FROM consent_changes c
WHERE c.resident_id = $1 AND c.template_id = $2 AND c.answer = $3 AND c.source = $4 AND c.pairs_with IS NULL
  AND c.happened_at BETWEEN $5::timestamptz - $6::interval AND $5::timestamptz + $6::interval
  AND NOT EXISTS (SELECT FROM consent_changes later WHERE later.pairs_with = c.id)
ORDER BY abs(extract(epoch FROM c.happened_at - $5::timestamptz)), c.id LIMIT 1
"""
_INSERT_CHANGE = """
INSERT INTO consent_changes (id, created_at, resident_id, template_id, kind, answer, source, source_id, delta,
                             happened_at, pairs_with)
VALUES ($1, now(), $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_UPDATE_BALANCE = """
UPDATE consent_balances SET remaining = $2, standing = $3, banned = $4, accepted_at = $5, withdrawn_at = $6,
       changed_at = now() WHERE id = $1
"""
_OTHER = {ConsentSource.FRONT_END: ConsentSource.POPUP, ConsentSource.POPUP: ConsentSource.FRONT_END}


async def record_reports(resident_id: UUID, reports: Iterable[Report]) -> int:
    """Write the reports into the ledger, all or none; how many of them were new.

    Reports about unknown templates are skipped: WeChat may report ones that were removed.
    """
    new = 0
    async with transaction() as connection:
        # Always in this order, so that two of them never wait for each other crosswise.
        for report in sorted(reports, key=lambda each: (each.template_id, each.source_id)):
            if (template := find_template(report.template_id)) is not None:
                new += await _record(connection, resident_id, ConsentKind(template.kind), report)
    return new


async def _record(connection: Any, resident_id: UUID, kind: ConsentKind, report: Report) -> bool:
    row = await connection.fetchrow(_LOCK, resident_id, report.template_id, kind)
    if await connection.fetchval("SELECT 1 FROM consent_changes WHERE source_id = $1", report.source_id):
        return False
    now = Balance(kind, *(row[name] for name in Balance._fields[1:]))
    pair = await _pair(connection, resident_id, report)
    then = now if pair else balance_after(now, report.answer, report.source, report.happened_at)
    await connection.execute(
        _INSERT_CHANGE, uuid7(), resident_id, report.template_id, kind, report.answer, report.source, report.source_id,
        then.remaining - now.remaining, report.happened_at, pair,
    )  # fmt: skip
    if then != now:
        await connection.execute(_UPDATE_BALANCE, row["id"], *then[1:])
    return True


async def _pair(connection: Any, resident_id: UUID, report: Report) -> UUID | None:
    other = _OTHER.get(report.source)
    if other is None:
        return None
    window = timedelta(seconds=settings().consent_pairing_seconds)
    found: UUID | None = await connection.fetchval(
        _PAIR, resident_id, report.template_id, report.answer, other, report.happened_at, window
    )
    return found


async def get_balances(resident_id: UUID) -> dict[str, Balance]:
    """What the resident allows now, by WeChat's template id; a template that is missing was never requested."""
    rows = await fetch(
        "SELECT template_id, kind, remaining, standing, banned, accepted_at, withdrawn_at "
        "FROM consent_balances WHERE resident_id = $1",
        resident_id,
    )
    return {row["template_id"]: Balance(ConsentKind(row["kind"]), *list(row)[2:]) for row in rows}


class ConsentAtAttempt(Struct, kw_only=True):
    """What was allowed for the message's template at its first attempt; `template` is its title in the popup,
    `remaining` counts one-off consents."""

    template: str
    kind: ConsentKind
    allowed: bool
    remaining: int
    accepted_at: datetime | None
    withdrawn_at: datetime | None


_UNTIL = """
SELECT answer, source, happened_at FROM consent_changes
WHERE resident_id = $1 AND template_id = $2 AND created_at <= $3 AND pairs_with IS NULL ORDER BY created_at, id
"""


async def get_consent_at(resident_id: UUID, template: PartnerTemplate, moment: datetime) -> ConsentAtAttempt:
    """The balance at that moment: the lines of the ledger until then, folded anew."""
    balance = Balance(ConsentKind(template.kind))
    for row in await fetch(_UNTIL, resident_id, template.id, moment):
        answer, source = ConsentAnswer(row["answer"]), ConsentSource(row["source"])
        balance = balance_after(balance, answer, source, row["happened_at"])
    return ConsentAtAttempt(
        template=template.title,
        kind=balance.kind,
        allowed=balance.allows,
        remaining=balance.remaining,
        accepted_at=balance.accepted_at,
        withdrawn_at=balance.withdrawn_at,
    )
