"""Codes from WeChat are good for one use, on our side too: of two requests with one code only one goes on.

A code is claimed before WeChat is asked, in a transaction of its own. When no answer came that used it up, the
claim is given back, so that the same request may be sent again; WeChat itself refuses what it has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal

from backend.database import execute, fetch_value
from backend.identity import timing
from backend.partners.wechat.port import PartnerBusy, PartnerUnreachable

KEPT = timedelta(hours=1)
"""Codes live for five minutes with WeChat; afterwards there is nothing to guard."""

_CLAIM = "INSERT INTO spent_codes (digest, spent_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING RETURNING id"


@asynccontextmanager
async def spend_code(kind: Literal["wx-login", "wx-phone"], code: str, spent: type[Exception]) -> AsyncIterator[None]:
    """Hold the code for the call inside the block. Raises `spent` when it was brought before."""
    digest = hashlib.sha256(f"{kind} {code}".encode()).hexdigest()
    if await fetch_value(_CLAIM, digest, timing.now()) is None:
        raise spent
    try:
        yield
    except (PartnerBusy, PartnerUnreachable):
        await execute("DELETE FROM spent_codes WHERE digest = $1", digest)
        raise


async def delete_old_codes() -> int:
    """Delete claims whose codes are long dead; how many."""
    return await execute("DELETE FROM spent_codes WHERE spent_at < $1", timing.now() - KEPT)
