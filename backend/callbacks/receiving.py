"""WeChat's pushes: verify the raw bytes, store once, tell the ledger; the work is done by subscribers later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec
from prometheus_client import Counter
from uuid_utils.compat import uuid7

from backend import clock, logs
from backend.callbacks.errors import PushReplayed
from backend.callbacks.events import WechatPushed
from backend.crypto import fingerprint, open_sealed, seal
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.errors import DomainError
from backend.events import act_as, record
from backend.partners.wechat.port import Push, WeChat
from backend.settings import settings

SEALED = "inbound_messages.body"
LONGEST_EVENT = 64

RECEIVED = Counter("zhangban_callbacks_total", "Pushes of partners by outcome.", ("partner", "outcome"))

_STORE = """
INSERT INTO inbound_messages (id, created_at, partner, partner_id, nonce, event, body, state, received_at)
VALUES ($1, $2, 'wechat', $3, $4, $5, $6, 'received', $2)
ON CONFLICT DO NOTHING RETURNING id
"""
_KNOWN = "SELECT 1 FROM inbound_messages WHERE partner = 'wechat' AND partner_id = $1"
_TAKE = """
UPDATE inbound_messages SET state = 'handled', handled_at = coalesce(handled_at, $2)
WHERE id = $1 RETURNING body
"""


async def receive_wechat(query: Mapping[str, str], body: bytes, *, wechat: WeChat) -> bool:
    """Take what WeChat pushed; True when it is new, False when it came before.

    Raises WechatPushInvalid, WechatPushSignatureInvalid, WechatPushExpired and PushReplayed; what is refused leaves
    nothing but a line in the security log and a count.
    """
    act_as("partner", "wechat")
    try:
        new = await _store(wechat.open_push(query, body))
    except DomainError as trouble:
        refused(trouble)
        raise
    RECEIVED.labels("wechat", "new" if new else "repeated").inc()
    return new


def check_address(query: Mapping[str, str], *, wechat: WeChat) -> str:
    """The text that WeChat wants back when it checks our address. Raises WechatPushInvalid, WechatPushSignatureInvalid,
    WechatPushExpired."""
    try:
        return wechat.echo(query)
    except DomainError as trouble:
        refused(trouble)
        raise


def refused(trouble: DomainError) -> None:
    """Count and log a push that we did not take."""
    RECEIVED.labels("wechat", trouble.code).inc()
    logs.security.warning(
        "push refused", extra={"partner": "wechat", "why": trouble.code, "what": getattr(trouble, "why", "")}
    )


async def _store(push: Push) -> bool:
    message_id, now = uuid7(), clock.now()
    sealed = seal(msgspec.json.encode(push).decode(), where=SEALED, row=message_id)
    nonce = hashlib.sha256(f"{push.account}.{push.nonce}".encode()).hexdigest()
    name = (push.event or push.kind)[:LONGEST_EVENT]
    async with transaction():
        if await fetch_value(_STORE, message_id, now, push.identity, nonce, name, sealed) is None:
            if await fetch_value(_KNOWN, push.identity) is None:
                raise PushReplayed("nonce")
            return False
        await record(
            WechatPushed(
                message_id=message_id,
                account=push.account,
                kind=push.kind[:LONGEST_EVENT],
                name=push.event[:LONGEST_EVENT],
                openid_fingerprint=fingerprint(push.openid, "openid"),
            )
        )
    return True


async def take(message_id: UUID) -> Push | None:
    """What was pushed, and mark it as handled; for subscribers, inside their transaction.

    None when it has been forgotten meanwhile.
    """
    row = await fetch_row(_TAKE, message_id, clock.now())
    if row is None:
        return None
    return msgspec.json.decode(open_sealed(row["body"], where=SEALED, row=message_id), type=Push)


async def forget_old() -> int:
    """Delete pushes older than `inbound_kept_days`; how many. WeChat repeats within seconds, so none comes again."""
    before = clock.now() - timedelta(days=settings().inbound_kept_days)
    return await execute("DELETE FROM inbound_messages WHERE received_at < $1", before)
