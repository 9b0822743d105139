"""Staff sign in with both factors in one request: name and password, and a one-time code.

One request, because two would need a half-open door between them, and would reveal which factor was wrong. What
is wrong, the answer is the same and takes the same work. A staff token is checked against the database at every
request, so every change of a member of staff holds from their next request on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from backend.crypto import open_sealed
from backend.database import execute, fetch_row, transaction
from backend.errors import raises
from backend.events import act_as, record
from backend.identity import attempts, one_time_codes, passwords, session_watch, timing, tokens
from backend.identity.errors import AttemptsExhausted, CredentialsWrong, PasswordExpired, PasswordWeak, SessionEnded
from backend.identity.events import StaffPasswordChanged, StaffSignedIn, StaffSignedOut
from backend.identity.principals import AsStaff
from backend.settings import settings

USED_EVERY = timedelta(seconds=30)
"""A session's last use is written down no more often than this."""
SECRET = "staff_members.totp_secret"  # noqa: S105 - the name of a column

_FIND = """
SELECT id, login, department_id, password_hash, password_changed_at, totp_secret, disabled_at
FROM staff_members WHERE login = $1
"""
# The step of a code may be used once: of two requests with one code, one finds the step taken.
_TAKE_STEP = """
UPDATE staff_members SET totp_step = $2
WHERE id = $1 AND totp_step < $2 AND disabled_at IS NULL AND password_hash = $3 RETURNING id
"""
_ADD = """
INSERT INTO staff_sessions (id, created_at, staff_id, source, last_used_at, expires_at) VALUES ($1, $2, $3, $4, $2, $5)
"""
_PASSWORD = "UPDATE staff_members SET password_hash = $2, password_changed_at = $3 WHERE id = $1"  # noqa: S105
_END_ALL = """
UPDATE staff_sessions SET ended_at = $2, end_reason = 'password' WHERE staff_id = $1 AND ended_at IS NULL
"""
_AUTHENTICATE = """
SELECT m.id, m.department_id, m.duties, s.last_used_at, s.expires_at, clock_timestamp() AS moment,
       m.disabled_at IS NOT NULL OR s.ended_at IS NOT NULL AS over
FROM staff_sessions s JOIN staff_members m ON m.id = s.staff_id WHERE s.id = $1 AND m.id = $2
"""
_USED = "UPDATE staff_sessions SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2"
_END = """
UPDATE staff_sessions SET ended_at = $2, end_reason = 'signed-out' WHERE id = $1 AND ended_at IS NULL RETURNING id
"""


class StaffSession(NamedTuple):
    """A staff session: the token, and the seconds after which it ends even if it is in use."""

    access_token: str
    expires_in: int
    idle_after: int
    """Seconds without a request after which the session is over."""
    session_id: UUID
    staff_id: UUID


@raises(CredentialsWrong, AttemptsExhausted, PasswordExpired, PasswordWeak)
async def sign_in_staff(
    login: str, password: str, code: str, *, address: str, new_password: str | None = None
) -> StaffSession:
    """Sign in with both factors; with `new_password`, change the password too.

    `address` is the network address that the request came from.

    Raises CredentialsWrong for every wrong factor; AttemptsExhausted after too many failures, even with the right
    password; PasswordExpired when a new one must be chosen; PasswordWeak when that one is not good enough.
    """
    name, source = login.strip().casefold(), attempts.source_of(address)
    if new_password is not None:
        # Before anything is known of the account: afterwards this answer would say that the factors were right.
        passwords.check_strength(new_password, login=name, previous=password)
    await session_watch.ensure_fresh()
    await attempts.begin_attempt(name, source)
    row = await fetch_row(_FIND, name)
    step = await _checked(row, password, code)
    if row is None or step is None:
        await attempts.record_failure(name, source, row["id"] if row is not None else None)
        raise CredentialsWrong
    changed = await passwords.hash_password(new_password) if new_password is not None else None
    now = await timing.database_now()
    session_id, expires_at = uuid7(), now + timedelta(seconds=settings().staff_session_seconds)
    async with transaction() as connection:
        if await connection.fetchval(_TAKE_STEP, row["id"], step, row["password_hash"]) is None:
            raise CredentialsWrong
        act_as("staff", row["id"])
        if changed is not None:
            await connection.execute(_PASSWORD, row["id"], changed, now)
            await connection.execute(_END_ALL, row["id"], now)
            await record(StaffPasswordChanged(staff_id=row["id"], by_owner=True))
        expired = changed is None and _is_expired(row["password_changed_at"], now)
        if not expired:
            await connection.execute(_ADD, session_id, now, row["id"], source, expires_at)
            await record(StaffSignedIn(staff_id=row["id"], session_id=session_id))
    await attempts.record_success(name, source)
    if expired:
        raise PasswordExpired
    return _signed_in(row["id"], session_id)


async def sign_out_staff(staff: AsStaff) -> None:
    """End the session in which this was asked."""
    now = await timing.database_now()
    async with transaction() as connection:
        if staff.session_id is not None and await connection.fetchval(_END, staff.session_id, now) is not None:
            await record(StaffSignedOut(staff_id=staff.id, session_id=staff.session_id))


async def authenticate_staff(staff_id: UUID, session_id: UUID) -> AsStaff:
    """Who holds this session now, with the department and duties of this moment, and note that it was used.

    Raises SessionEnded when it is over, was idle for too long, or the account was closed.
    """
    row = await fetch_row(_AUTHENTICATE, session_id, staff_id)
    if row is None or row["over"]:
        raise SessionEnded
    now = timing.record_database_time(row["moment"])
    idle = timedelta(seconds=settings().staff_idle_seconds)
    if now >= row["expires_at"] or now >= row["last_used_at"] + idle:
        raise SessionEnded
    if now >= row["last_used_at"] + min(USED_EVERY, idle / 4):
        await execute(_USED, session_id, now)
    return AsStaff(row["id"], row["department_id"], frozenset(row["duties"]), session_id)


async def _checked(row: Any, password: str, code: str) -> int | None:
    """The time step of the code if both factors are right; the same work for an account that does not exist."""
    kept = row["password_hash"] if row is not None else None
    right = await passwords.verify_password(password, kept)
    secret = open_sealed(row["totp_secret"], where=SECRET, row=row["id"]) if row is not None else _NOBODYS
    step = one_time_codes.step_of(code, secret)
    return step if right and row["disabled_at"] is None else None


_NOBODYS = one_time_codes.new_secret()


def _is_expired(changed_at: datetime | None, now: datetime) -> bool:
    days = settings().staff_password_days
    return changed_at is None or (days > 0 and now >= changed_at + timedelta(days=days))


def _signed_in(staff_id: UUID, session_id: UUID) -> StaffSession:
    life = settings().staff_session_seconds
    access = tokens.issue_token(staff_id, session_id, "staff", seconds=life, scattered=False)
    return StaffSession(access.token, access.expires_in, settings().staff_idle_seconds, session_id, staff_id)
