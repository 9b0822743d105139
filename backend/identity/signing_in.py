"""Signing in from the mini-program: a `wx.login` code becomes a session.

WeChat is asked between two transactions, never inside one. The openid is kept sealed and found by fingerprint; the
session key stays here, sealed; neither is ever part of an answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import cache, logs
from backend.crypto import fingerprint, fingerprints, seal
from backend.database import transaction
from backend.errors import raises
from backend.events import act_as, record
from backend.identity import refresh_tokens, session_watch, timing
from backend.identity.devices import DeviceClass
from backend.identity.errors import AccountDisabled, SignInBusy, SignInCodeInvalid, SignInRisky
from backend.identity.events import ResidentJoined, SessionsEnded, SessionStarted
from backend.identity.refreshing import Tokens, create_tokens
from backend.identity.spent_codes import spend_code
from backend.partners.wechat import port
from backend.settings import settings

PER_ACCOUNT, WITHIN = 20, 600
"""Sign-ins of one WeChat account within so many seconds; a mini-program that is opened again and again has fewer."""
LONGEST_CODE = 256

_KNOWN = """
SELECT a.id, a.resident_id, r.disabled_at FROM wechat_accounts a JOIN residents r ON r.id = a.resident_id
WHERE a.account = 'mini_program' AND a.openid_fingerprint = ANY($1) FOR UPDATE OF r
"""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('openid ' || $1, 0))"
_ADD_RESIDENT = "INSERT INTO residents (id, created_at) VALUES ($1, $2)"
_ADD_ACCOUNT = """
INSERT INTO wechat_accounts (id, created_at, resident_id, account, openid, openid_fingerprint)
VALUES ($1, $2, $3, 'mini_program', $4, $5)
"""
_REMEMBER = """
UPDATE wechat_accounts SET session_key = $2, unionid = coalesce($3, unionid),
                           unionid_fingerprint = coalesce($4, unionid_fingerprint)
WHERE id = $1
"""
_TAKE_OVER = """
UPDATE wechat_accounts SET resident_id = $1
WHERE account = 'official_account' AND resident_id IS NULL AND unionid_fingerprint = ANY($2)
  AND NOT EXISTS (SELECT 1 FROM wechat_accounts WHERE resident_id = $1 AND account = 'official_account')
"""
_ADD_SESSION = """
INSERT INTO sessions (id, created_at, resident_id, device, last_used_at, expires_at, generation, refresh_digest)
VALUES ($1, $2, $3, $4, $2, $5, 0, $6)
"""
_END_THE_OLDEST = """
UPDATE sessions SET ended_at = $2, end_reason = 'replaced'
WHERE id IN (SELECT id FROM sessions WHERE resident_id = $1 AND ended_at IS NULL
             ORDER BY last_used_at DESC, id DESC OFFSET $3)
RETURNING id
"""


@raises(SignInCodeInvalid, SignInRisky, AccountDisabled, SignInBusy)
async def sign_in_resident(code: str, *, device: DeviceClass, wechat: port.WeChat) -> Tokens:
    """Exchange a `wx.login` code for a new session; a first sign-in creates the resident.

    Raises SignInCodeInvalid for a code that is unknown, old or used, here or at WeChat; SignInRisky and
    AccountDisabled when the account may not enter; SignInBusy and PartnerError when it may be tried again with a
    fresh code; CacheDown when the tries cannot be counted, because then no guess may be made either.
    """
    await session_watch.ensure_fresh()
    found = await _ask(code, wechat)
    await _not_too_often(found.openid)
    now = await timing.database_now()
    session_id = uuid7()
    token = refresh_tokens.create_token(session_id, 0)
    expires_at = now + timedelta(seconds=settings().session_absolute_seconds)
    async with transaction() as connection:
        resident_id = await _resident(found, now)
        digest = refresh_tokens.digest_of(token)
        await connection.execute(_ADD_SESSION, session_id, now, resident_id, device, expires_at, digest)
        await record(SessionStarted(session_id=session_id, resident_id=resident_id, device=device))
        replaced = await _make_room(resident_id, now)
    await session_watch.announce_ended(replaced)
    return create_tokens(resident_id, session_id, token, expires_at, now)


async def _ask(code: str, wechat: port.WeChat) -> port.Session:
    if not code or len(code) > LONGEST_CODE or not code.isprintable():
        raise SignInCodeInvalid
    try:
        async with spend_code("wx-login", code, SignInCodeInvalid):
            return await wechat.session_of(code)
    except (port.WechatLoginCodeInvalid, port.WechatLoginCodeUsed) as error:
        logs.security.info("sign-in refused", extra={"event": "sign-in.refused", "reason": error.code})
        raise SignInCodeInvalid from error
    except port.WechatUserBlocked as error:
        logs.security.warning("sign-in refused", extra={"event": "sign-in.refused", "reason": error.code})
        raise SignInRisky from error
    except port.WechatBusy as error:
        raise SignInBusy(retry_after=error.retry_after or 2) from error


async def _not_too_often(openid: str) -> None:
    counted = await cache.count_within(f"sign-in:{fingerprint(openid, 'openid')}", PER_ACCOUNT, WITHIN)
    if not counted.allowed:
        logs.security.warning("sign-in refused", extra={"event": "sign-in.refused", "reason": "too often"})
        raise SignInBusy(retry_after=counted.retry_after)


async def _resident(found: port.Session, now: datetime) -> UUID:
    """The resident whom WeChat names, made if need be; what WeChat said is remembered."""
    async with transaction() as connection:
        # Two first sign-ins of one account at the same time must not make two residents.
        await connection.execute(_ONE_AT_A_TIME, fingerprint(found.openid, "openid"))
        known = await connection.fetchrow(_KNOWN, fingerprints(found.openid, "openid"))
        if known is not None and known["disabled_at"] is not None:
            raise AccountDisabled
        account_id, resident_id = (known["id"], known["resident_id"]) if known else await _join(found.openid, now)
        act_as("resident", resident_id)
        if known is None:
            await record(ResidentJoined(resident_id=resident_id))
        await connection.execute(_REMEMBER, account_id, *_sealed(found, account_id))
        if found.unionid is not None:
            await connection.execute(_TAKE_OVER, resident_id, fingerprints(found.unionid, "unionid"))
    return resident_id


async def _join(openid: str, now: datetime) -> tuple[UUID, UUID]:
    account_id, resident_id = uuid7(), uuid7()
    sealed = seal(openid, where="wechat_accounts.openid", row=account_id)
    async with transaction() as connection:
        await connection.execute(_ADD_RESIDENT, resident_id, now)
        await connection.execute(_ADD_ACCOUNT, account_id, now, resident_id, sealed, fingerprint(openid, "openid"))
    return account_id, resident_id


def _sealed(found: port.Session, account_id: UUID) -> tuple[Any, ...]:
    key = seal(found.session_key, where="wechat_accounts.session_key", row=account_id)
    if found.unionid is None:
        return key, None, None
    unionid = seal(found.unionid, where="wechat_accounts.unionid", row=account_id)
    return key, unionid, fingerprint(found.unionid, "unionid")


async def _make_room(resident_id: UUID, now: datetime) -> list[UUID]:
    """End the sessions that are one too many, those first that were unused for the longest time."""
    async with transaction() as connection:
        rows = await connection.fetch(_END_THE_OLDEST, resident_id, now, settings().sessions_per_resident)
        ended = [row["id"] for row in rows]
        if ended:
            await record(SessionsEnded(resident_id=resident_id, session_ids=tuple(ended), reason="replaced"))
    return ended
