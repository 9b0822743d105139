"""A resident's own account: what we know of them, the phone that WeChat vouches for, and closing the account.

A phone number belongs to the resident who proved it last. Carriers give numbers away again after a few months: with
"first come, first served" the new owner of a number could never use it here, and the messages about the former
owner's cases would go on to a stranger. So the number moves; the former owner is notified that it left them, never to
whom, and the new owner does not learn that it had another owner.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from backend import logs
from backend.crypto import fingerprint, fingerprints, mask_phone, open_sealed, seal
from backend.database import fetch_row, fetch_value, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import session_watch, timing
from backend.identity.errors import PhoneBusy, PhoneCodeInvalid, TokenInvalid
from backend.identity.events import (
    PhoneConfirmed,
    PhoneMovedAway,
    PhoneRemoved,
    ResidentDisabled,
    ResidentEnabled,
    SessionsEnded,
)
from backend.identity.principals import AsResident
from backend.identity.spent_codes import spend_code
from backend.partners.wechat import port

LONGEST_CODE = 256

_SEALED = "residents.phone"
_SELF = "SELECT id, created_at, phone, phone_confirmed_at FROM residents WHERE id = $1"
_OPENID = "SELECT id, openid FROM wechat_accounts WHERE resident_id = $1 AND account = $2"
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('phone ' || $1, 0))"
_HOLD = "SELECT id FROM residents WHERE id = $1 OR phone_fingerprint = ANY($2) ORDER BY id FOR UPDATE"
_TAKE_AWAY = """
UPDATE residents SET phone = NULL, phone_fingerprint = NULL, phone_confirmed_at = NULL
WHERE phone_fingerprint = ANY($1) AND id <> $2 RETURNING id
"""
_GIVE = "UPDATE residents SET phone = $2, phone_fingerprint = $3, phone_confirmed_at = $4 WHERE id = $1"
_REMOVE = """
UPDATE residents SET phone = NULL, phone_fingerprint = NULL, phone_confirmed_at = NULL
WHERE id = $1 AND phone IS NOT NULL RETURNING id
"""
_DISABLE = "UPDATE residents SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL RETURNING id"
_END_ALL = """
UPDATE sessions SET ended_at = $2, end_reason = 'disabled' WHERE resident_id = $1 AND ended_at IS NULL RETURNING id
"""
_ENABLE = "UPDATE residents SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL RETURNING id"


class ResidentDetail(NamedTuple):
    """What residents see of themselves."""

    id: UUID
    joined_at: datetime
    phone: str | None
    """Masked."""
    phone_confirmed_at: datetime | None


async def get_own_account(resident: AsResident) -> ResidentDetail:
    """The resident's own account, with the phone masked. Raises TokenInvalid when it is gone."""
    row = await fetch_row(_SELF, resident.id)
    if row is None:
        raise TokenInvalid
    phone = open_sealed(row["phone"], where=_SEALED, row=row["id"]) if row["phone"] else None
    return ResidentDetail(row["id"], row["created_at"], mask_phone(phone) if phone else None, row["phone_confirmed_at"])


async def phone_of(resident_id: UUID) -> str | None:
    """The resident's confirmed phone in clear, for use on their behalf: eleven digits, or `+<country><number>`."""
    sealed = await fetch_value("SELECT phone FROM residents WHERE id = $1", resident_id)
    return open_sealed(sealed, where=_SEALED, row=resident_id) if sealed else None


async def openid_of(resident_id: UUID, account: port.Account = "mini_program") -> str | None:
    """The resident's openid in one of our WeChat accounts, for sending to it; None when we do not know one."""
    row = await fetch_row(_OPENID, resident_id, account)
    return open_sealed(row["openid"], where="wechat_accounts.openid", row=row["id"]) if row else None


@raises(PhoneCodeInvalid, PhoneBusy)
async def confirm_phone(resident: AsResident, code: str, *, wechat: port.WeChat) -> ResidentDetail:
    """Take over the phone number that a `getPhoneNumber` code stands for.

    Raises PhoneCodeInvalid for a code that is unknown, old or used; PhoneBusy and PartnerError when it may be
    tried again with a fresh code.
    """
    number = await _ask(code, await openid_of(resident.id), wechat)
    now = await timing.database_now()
    async with transaction() as connection:
        # Two people with one number take turns; two who swap numbers take their rows in one order.
        await connection.execute(_ONE_AT_A_TIME, fingerprint(number, "phone"))
        await connection.execute(_HOLD, resident.id, fingerprints(number, "phone"))
        for row in await connection.fetch(_TAKE_AWAY, fingerprints(number, "phone"), resident.id):
            await record(PhoneMovedAway(resident_id=row["id"]))
        sealed = seal(number, where=_SEALED, row=resident.id)
        await connection.execute(_GIVE, resident.id, sealed, fingerprint(number, "phone"), now)
        await record(PhoneConfirmed(resident_id=resident.id))
    return await get_own_account(resident)


async def remove_phone(resident: AsResident) -> None:
    """Forget the resident's phone. Without a phone it changes nothing."""
    async with transaction() as connection:
        if await connection.fetchval(_REMOVE, resident.id) is not None:
            await record(PhoneRemoved(resident_id=resident.id))


async def disable_resident(resident_id: UUID) -> bool:
    """Close the account to its owner and end all its sessions; False when there was nothing to close."""
    now = await timing.database_now()
    async with transaction() as connection:
        if await connection.fetchval(_DISABLE, resident_id, now) is None:
            return False
        await record(ResidentDisabled(resident_id=resident_id))
        ended = [row["id"] for row in await connection.fetch(_END_ALL, resident_id, now)]
        if ended:
            await record(SessionsEnded(resident_id=resident_id, session_ids=tuple(ended), reason="disabled"))
    await session_watch.announce_ended(ended)
    return True


async def erase_account(resident_id: UUID) -> list[UUID]:
    """Forget phone and WeChat accounts and close what is left for ever; the sessions that ended.

    Belongs inside transaction(); the caller announces the sessions after it. No message is sent: no receiver is left.
    """
    now = await timing.database_now()
    async with transaction() as connection:
        await connection.execute(_REMOVE, resident_id)
        await connection.execute("DELETE FROM wechat_accounts WHERE resident_id = $1", resident_id)
        await connection.fetchval(_DISABLE, resident_id, now)
        ended = [row["id"] for row in await connection.fetch(_END_ALL, resident_id, now)]
        if ended:
            await record(SessionsEnded(resident_id=resident_id, session_ids=tuple(ended), reason="disabled"))
    return ended


async def enable_resident(resident_id: UUID) -> bool:
    """Let the owner in again; False when the account was open."""
    async with transaction() as connection:
        enabled = await connection.fetchval(_ENABLE, resident_id) is not None
        if enabled:
            await record(ResidentEnabled(resident_id=resident_id))
    return enabled


def normalise_number(number: port.PhoneNumber) -> str:
    """A mainland number as its eleven digits, any other one as `+<country><number>`."""
    digits, country = (re.sub(r"\D", "", part) for part in (number.number, number.country_code))
    return digits if country in ("", "86") else f"+{country}{digits}"


async def _ask(code: str, openid: str | None, wechat: port.WeChat) -> str:
    if not code or len(code) > LONGEST_CODE or not code.isprintable():
        raise PhoneCodeInvalid
    try:
        async with spend_code("wx-phone", code, PhoneCodeInvalid):
            return normalise_number(await wechat.phone_of(code, openid=openid))
    except port.WechatPhoneCodeInvalid as error:
        logs.security.info("phone code refused", extra={"event": "phone.refused", "reason": error.code})
        raise PhoneCodeInvalid from error
    except port.WechatBusy as error:
        raise PhoneBusy(retry_after=error.retry_after or 2) from error
