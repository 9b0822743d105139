"""What a person may ask of us about themselves: a copy of everything (PIPL art. 45), and to be forgotten (art. 47)."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import msgspec

from backend import crypto, identity
from backend.database import fetch, fetch_row, fetch_value, transaction
from backend.deliveries import erasing
from backend.errors import NotFound
from backend.events import Event, record
from backend.identity import delegating

STAYS: dict[str, str] = {
    "cases": "departments' records of administrative acts, kept as the law on archives says; untied from the account",
    "events": "the ledger is kept for ever and names people by number only",
    "delegations": "who could act for whom, without names; ended: it explains what the other one did",
    "sessions": "ended, without the phone or the WeChat account; swept when their time is over",
    "deliveries": "what was brought when; the address until a parcel that is on its way has come to its end",
    "consent_changes": "the proof that messages were agreed to; names a number only",
    "payments": "accounts, kept as the rules on accounting archives (会计档案管理办法) say; without the openid",
}
"""What erasing leaves, and why."""

_OPENED = (
    ("residents", "phone"),
    ("wechat_accounts", "openid"),
    ("wechat_accounts", "unionid"),
    ("delegations", "principal_name"),
    ("delegations", "delegate_name"),
    ("appointments", "visitor_name"),
    ("strikes", "appeal"),
    ("payments", "payer"),
    ("addresses", "name"),
    ("addresses", "phone"),
    ("addresses", "street"),
    ("deliveries", "name"),
    ("deliveries", "phone"),
    ("deliveries", "street"),
    ("shipments", "label"),
    ("shipment_nodes", "raw_text"),
    ("delivery_problems", "text"),
    ("hand_overs", "taken_by"),
    ("hand_overs", "signature"),
)


class ResidentNotFound(NotFound):
    """No resident has this id."""

    title = "没有找到该居民"


class ResidentErased(Event, frozen=True, kw_only=True, tag="resident.erased"):
    """What could be forgotten about a resident was forgotten."""

    about: ClassVar[str] = "resident_id"
    resident_id: UUID
    erased: dict[str, int]


async def find(phone: str) -> UUID:
    """The resident who confirmed this phone. Raises ResidentNotFound."""
    found: UUID | None = await fetch_value(
        "SELECT id FROM residents WHERE phone_fingerprint = ANY($1)", crypto.fingerprints(phone, "phone")
    )
    if found is None:
        raise ResidentNotFound
    return found


_COPIES: dict[str, str] = {
    "wechat_accounts": "SELECT * FROM wechat_accounts WHERE resident_id = $1",
    "sessions": "SELECT id, created_at, device, last_used_at, expires_at, ended_at, end_reason "
    "FROM sessions WHERE resident_id = $1 ORDER BY created_at",
    "cases": "SELECT * FROM cases WHERE resident_id = $1 ORDER BY received_at",
    "case_events": "SELECT e.* FROM case_events e JOIN cases c ON c.id = e.case_id WHERE c.resident_id = $1 "
    "ORDER BY e.occurred_at",
    "messages": "SELECT * FROM messages WHERE resident_id = $1 ORDER BY created_at",
    "message_attempts": "SELECT a.* FROM message_attempts a JOIN messages m ON m.id = a.message_id "
    "WHERE m.resident_id = $1 ORDER BY a.id",
    "appointments": "SELECT * FROM appointments WHERE person_id = $1 ORDER BY day",
    "strikes": "SELECT * FROM strikes WHERE person_id = $1 ORDER BY created_at",
    "waiting_entries": "SELECT * FROM waiting_entries WHERE person_id = $1 ORDER BY created_at",
    "draw_entries": "SELECT * FROM draw_entries WHERE person_id = $1 ORDER BY created_at",
    "fees": "SELECT * FROM fees WHERE resident_id = $1 ORDER BY created_at",
    "payments": "SELECT * FROM payments WHERE resident_id = $1 ORDER BY created_at",
    "receipts": "SELECT r.* FROM receipts r JOIN payments p ON p.id = r.payment_id WHERE p.resident_id = $1 "
    "ORDER BY r.created_at",
    "refunds": "SELECT r.* FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.resident_id = $1 "
    "ORDER BY r.created_at",
    "addresses": "SELECT * FROM addresses WHERE resident_id = $1 AND removed_at IS NULL ORDER BY created_at",
    "deliveries": "SELECT * FROM deliveries WHERE resident_id = $1 ORDER BY created_at",
    "shipments": "SELECT s.* FROM shipments s JOIN deliveries d ON d.id = s.delivery_id WHERE d.resident_id = $1 "
    "ORDER BY s.created_at",
    "shipment_nodes": "SELECT n.* FROM shipment_nodes n JOIN shipments s ON s.id = n.shipment_id "
    "JOIN deliveries d ON d.id = s.delivery_id WHERE d.resident_id = $1 ORDER BY n.event_at",
    "delivery_problems": "SELECT p.* FROM delivery_problems p JOIN deliveries d ON d.id = p.delivery_id "
    "WHERE d.resident_id = $1 ORDER BY p.found_at",
    "hand_overs": "SELECT h.* FROM hand_overs h JOIN deliveries d ON d.id = h.delivery_id WHERE d.resident_id = $1 "
    "ORDER BY h.at",
    # What the other one is called is theirs.
    "delegations": "SELECT id, created_at, principal_id, delegate_id, matters, invitation_until, accepted_at, ends_at, "
    "ended_at, end_reason, CASE WHEN principal_id = $1 THEN principal_name END AS principal_name, "
    "CASE WHEN delegate_id = $1 THEN delegate_name END AS delegate_name FROM delegations "
    "WHERE principal_id = $1 OR delegate_id = $1 ORDER BY created_at",
    "consent_changes": "SELECT * FROM consent_changes WHERE resident_id = $1 ORDER BY happened_at",
    "events": "SELECT at, name, payload FROM events WHERE (subject_kind = 'resident' AND subject_id = $1) "
    "OR (actor_kind = 'resident' AND actor_id = $1::text) ORDER BY at",
}
_APPLICANT = ("applicant_name", "applicant_id_number", "applicant_phone")
_INTERNAL = ("visitor_key", "fingerprint", "digest", "successor", "session_key")


async def export(resident_id: UUID) -> dict[str, Any]:
    """Everything we hold about the resident, opened, table by table. Fingerprints and secrets are left out.

    Raises ResidentNotFound.
    """
    row = await fetch_row("SELECT * FROM residents WHERE id = $1", resident_id)
    if row is None:
        raise ResidentNotFound
    copy: dict[str, Any] = {"residents": [_readable("residents", dict(row))]}
    for table, statement in _COPIES.items():
        copy[table] = [_readable(table, dict(each)) for each in await fetch(statement, resident_id)]
    return copy


def _readable(table: str, row: dict[str, Any]) -> dict[str, Any]:
    sealed = set(_APPLICANT) if table == "cases" else {column for name, column in _OPENED if name == table}
    shown = {}
    for name, value in row.items():
        if any(part in name for part in _INTERNAL):
            continue
        if name in sealed and value:
            value = crypto.open_sealed(value, where=f"{table}.{name}", row=row["id"])
        shown[name] = msgspec.json.decode(value) if name == "payload" else value
    return shown


_FORGET: dict[str, str] = {
    "notification_outcomes": "UPDATE notification_outcomes o SET erased = erased + m.n FROM (SELECT event_id, "
    "count(*) AS n FROM messages WHERE resident_id = $1 GROUP BY event_id) m WHERE o.event_id = m.event_id",
    "message_attempts": "DELETE FROM message_attempts a USING messages m "
    "WHERE m.id = a.message_id AND m.resident_id = $1",
    "messages": "DELETE FROM messages WHERE resident_id = $1",
    "message_queues": "DELETE FROM message_queues WHERE resident_id = $1",
    "consent_balances": "DELETE FROM consent_balances WHERE resident_id = $1",
    "idempotency_keys": "DELETE FROM idempotency_keys WHERE starts_with(scope, 'resident:' || $1::uuid::text || ' ')",
    "cases": "UPDATE cases SET resident_id = NULL WHERE resident_id = $1",
    "appointments": "UPDATE appointments SET visitor_name = NULL, visitor_key = NULL "
    "WHERE person_id = $1 AND (visitor_name IS NOT NULL OR visitor_key IS NOT NULL)",
    "fees": "UPDATE fees SET resident_id = NULL WHERE resident_id = $1 AND state = 'open'",
    "payments": "UPDATE payments SET payer = NULL, payer_fingerprint = NULL WHERE resident_id = $1 "
    "AND (payer IS NOT NULL OR payer_fingerprint IS NOT NULL)",
    "addresses": "DELETE FROM addresses WHERE resident_id = $1",
    "delivery_problems": "UPDATE delivery_problems SET text = NULL WHERE text IS NOT NULL AND delivery_id IN "
    "(SELECT id FROM deliveries WHERE resident_id = $1)",
    "hand_overs": "UPDATE hand_overs SET taken_by = '', signature = '' WHERE taken_by <> '' AND delivery_id IN "
    "(SELECT id FROM deliveries WHERE resident_id = $1)",
    "strikes": "UPDATE strikes SET appeal = NULL, appealed_at = NULL WHERE person_id = $1 AND appeal IS NOT NULL",
}


async def erase(resident_id: UUID) -> dict[str, int]:
    """Forget the resident: account closed, sessions ended, everything deleted or untied but what `STAYS` names.

    Returns how many rows of each table were concerned; a second run finds nothing. Raises ResidentNotFound.
    """
    if await fetch_value("SELECT 1 FROM residents WHERE id = $1", resident_id) is None:
        raise ResidentNotFound
    erased: dict[str, int] = {}
    async with transaction() as connection:
        accounts = await connection.fetchval("SELECT count(*) FROM wechat_accounts WHERE resident_id = $1", resident_id)
        ended = await identity.erase_account(resident_id)
        erased |= {name: n for name, n in (("wechat_accounts", accounts), ("sessions", len(ended))) if n}
        if unnamed := await delegating.erase_delegations(resident_id):
            erased["delegations"] = unnamed
        for table, statement in _FORGET.items():
            tag = await connection.execute(statement, resident_id)
            if count := int(tag.rsplit(" ", 1)[-1]):
                erased[table] = count
        # What is still on its way is forgotten when it has come to its end.
        erased |= await erasing.erase_person(resident_id)
        if erased:
            await record(ResidentErased(resident_id=resident_id, erased=erased))
    await identity.announce_ended(ended)
    return erased
