"""The access token of one account: shared by every process, renewed by one of them.

WeChat's stable_token gives every caller the same token while it lives and renews it about five minutes before
its end, so an ordinary renewal is harmless even when Redis is down and every process requests one
for itself. Only `force_refresh` kills the token of the others: it is the last resort, once in thirty
seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from backend import cache, clock, crypto
from backend.partners.errors import PartnerError
from backend.partners.wechat.errors import WechatBusy

log = logging.getLogger("zhangban.partners")

RENEW_BEFORE = timedelta(minutes=5)
"""Life left at which we renew; WeChat renews at the same point."""
ASK_EVERY = 20.0
"""Seconds between two questions while WeChat itself has not renewed yet and the old token still lives."""
FORCE_EVERY = 30
"""Seconds between two forced refreshes (20 a day)."""
LOCK_SECONDS = 10.0
LOCK_WAIT = 2.0
"""The longest wait for another process that is renewing: the answer would be the same."""


class IssuedToken(msgspec.Struct, frozen=True):
    """A token and the second (since 1970) at which it ends."""

    text: str
    ends_at: float

    def __repr__(self) -> str:
        return "IssuedToken(…)"

    def is_fresh(self) -> bool:
        """Whether it has more life left than a call could take."""
        return self.ends_at - clock.now().timestamp() > RENEW_BEFORE.total_seconds()

    def is_alive(self) -> bool:
        """Whether WeChat still takes it, as far as we know."""
        return self.ends_at > clock.now().timestamp()


Fetch = Callable[[bool], Awaitable[IssuedToken]]
"""Asks WeChat for the token; the argument is `force_refresh`."""


class TokenKeeper:
    """Gives out the account's token and replaces it when WeChat no longer takes it."""

    def __init__(self, appid: str, fetch: Fetch) -> None:
        self._appid = appid
        self._fetch = fetch
        self._known: IssuedToken | None = None
        self._turn = asyncio.Lock()
        self._asked_at: float | None = None
        self._forced_at: float | None = None

    async def current(self) -> str:
        """A token with life left. Raises what the call to WeChat raises when there is none to be had."""
        if (known := self._in_hand()) is not None:
            return known.text
        async with self._turn:
            if (known := self._in_hand()) is not None:
                return known.text
            self._asked_at = clock.now().timestamp()
            try:
                self._known = await self._shared_or_renewed(refused=None)
            except PartnerError:
                if self._known is None or not self._known.is_alive():
                    raise
            return self._known.text

    async def instead_of(self, refused: str) -> str:
        """A token other than the one that WeChat refused. Any number of callers at once make one refresh.

        Raises WechatBusy when only a forced refresh would help and the last one is less than 30 s ago.
        """
        async with self._turn:
            if self._known is None or self._known.text == refused:
                self._known = None
                self._known = await self._shared_or_renewed(refused=refused)
            return self._known.text

    def _in_hand(self) -> IssuedToken | None:
        """The known token if no renewal is due: it is fresh, or lives and was renewed a moment ago."""
        known = self._known
        if known is None or known.is_fresh():
            return known
        asked = self._asked_at is not None and clock.now().timestamp() - self._asked_at < ASK_EVERY
        return known if asked and known.is_alive() else None

    async def _shared_or_renewed(self, refused: str | None) -> IssuedToken:
        if usable := self._usable(await self._shared(), refused):
            return usable
        try:
            async with cache.lock(f"wechat-token:{self._appid}", LOCK_SECONDS, wait=LOCK_WAIT):
                # Without the lock (its holder hangs) we go on all the same: the token is the same for
                # every process.
                if usable := self._usable(await self._shared(), refused):
                    return usable
                return await self._renewed(refused)
        except cache.CacheDown:
            return await self._renewed(refused)

    @staticmethod
    def _usable(token: IssuedToken | None, refused: str | None) -> IssuedToken | None:
        return token if token is not None and token.is_fresh() and token.text != refused else None

    async def _renewed(self, refused: str | None) -> IssuedToken:
        token = await self._fetch(False)
        if token.text == refused:
            await self._permit_force()
            token = await self._fetch(True)
        await self._share(token)
        return token

    async def _permit_force(self) -> None:
        now = clock.monotonic()
        if self._forced_at is not None and now - self._forced_at < FORCE_EVERY:
            raise WechatBusy("wechat", "force-refresh", retry_after=FORCE_EVERY)
        try:
            first = await cache.ask(
                lambda client: client.set(f"wechat-forced:{self._appid}", "1", nx=True, ex=FORCE_EVERY)
            )
        except cache.CacheDown:
            first = True
        if not first:
            raise WechatBusy("wechat", "force-refresh", retry_after=FORCE_EVERY)
        self._forced_at = now
        log.warning("WeChat access token renewed by force", extra={"event": "wechat-token.forced"})

    # -- the copy that all processes share, sealed --------------------------------------------------

    def _key(self) -> str:
        return f"wechat-token:{self._appid}"

    async def _shared(self) -> IssuedToken | None:
        try:
            kept = await cache.ask(lambda client: client.get(self._key()))
            if kept is None:
                return None
            text = kept.decode() if isinstance(kept, bytes) else str(kept)
            opened = crypto.open_sealed(text, where="cache.wechat_token", row=self._appid)
            return msgspec.json.decode(opened, type=IssuedToken)
        except (cache.CacheDown, crypto.SealBroken, msgspec.DecodeError):
            return None

    async def _share(self, token: IssuedToken) -> None:
        sealed = crypto.seal(msgspec.json.encode(token).decode(), where="cache.wechat_token", row=self._appid)
        seconds = max(1, int(token.ends_at - clock.now().timestamp()))
        try:
            await cache.ask(lambda client: client.set(self._key(), sealed, ex=seconds))
        except cache.CacheDown:
            log.warning(
                "WeChat access token not shared with other processes", extra={"event": "wechat-token.not-shared"}
            )
