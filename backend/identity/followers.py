"""Followers of the official account: the unionid identifies the resident of a follower, whichever came first."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7

from backend.crypto import fingerprint, fingerprints, seal
from backend.database import execute, transaction
from backend.identity import timing

_OWNER = """
SELECT resident_id FROM wechat_accounts WHERE account = 'mini_program' AND unionid_fingerprint = ANY($1)
"""
_FORGET = "DELETE FROM wechat_accounts WHERE account = 'official_account' AND openid_fingerprint = ANY($1)"
_FORGET_OLDER = "DELETE FROM wechat_accounts WHERE account = 'official_account' AND resident_id = $1"
_ADD = """
INSERT INTO wechat_accounts
    (id, created_at, resident_id, account, openid, openid_fingerprint, unionid, unionid_fingerprint)
VALUES ($1, $2, $3, 'official_account', $4, $5, $6, $7)
ON CONFLICT (account, openid_fingerprint) DO NOTHING
"""


async def record_follow(openid: str, unionid: str) -> UUID | None:
    """Remember a follower of the official account; the resident they are, if that one has signed in already."""
    identity = uuid7()
    async with transaction() as connection:
        resident_id: UUID | None = await connection.fetchval(_OWNER, fingerprints(unionid, "unionid"))
        await connection.execute(_FORGET, fingerprints(openid, "openid"))
        if resident_id is not None:
            await connection.execute(_FORGET_OLDER, resident_id)
        await connection.execute(
            _ADD,
            identity,
            timing.now(),
            resident_id,
            seal(openid, where="wechat_accounts.openid", row=identity),
            fingerprint(openid, "openid"),
            seal(unionid, where="wechat_accounts.unionid", row=identity),
            fingerprint(unionid, "unionid"),
        )
    return resident_id


async def record_unfollow(openid: str) -> bool:
    """Forget a follower who left; False when we did not know them."""
    return await execute(_FORGET, fingerprints(openid, "openid")) > 0
