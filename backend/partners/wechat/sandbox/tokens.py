"""Access tokens as the platform keeps them: stable, shrinking, renewed near their end, killed by force."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend import clock
from backend.partners.wechat.sandbox.errors import Errcode

LIVES = timedelta(seconds=7200)
RENEWS_BEFORE = timedelta(minutes=5)
FORCE_EVERY = timedelta(seconds=30)
FORCES_A_DAY = 20
ASKS_A_MINUTE = 10_000


@dataclass
class Issued:
    """A token; `dead` when a forced refresh or an operator ended it before its time."""

    text: str
    ends_at: datetime
    dead: bool = False


class TokenDesk:
    """The tokens of one account."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._issued: dict[str, Issued] = {}
        self._current: Issued | None = None
        self._forced: list[datetime] = []
        self._asked: list[datetime] = []
        self.asks = 0
        """How often stable_token was called, forced or not."""
        self.forces = 0

    def stable(self, *, force: bool) -> tuple[str, int]:
        """The token and its remaining seconds. Raises Errcode 45011 (too often), 45009 (20 forced today)."""
        now = self._now()
        self.asks += 1
        self._asked = [at for at in self._asked if now - at < timedelta(minutes=1)] + [now]
        if len(self._asked) > ASKS_A_MINUTE:
            raise Errcode(45011, "api minute-quota reach limit")
        if force:
            self._permit_force(now)
            self.kill()
        current = self._current
        if current is None or current.dead or current.ends_at - now <= RENEWS_BEFORE:
            # The one before stays good until its own end, so that no call in progress is cut off.
            current = Issued(f"80_{secrets.token_urlsafe(96)}", now + LIVES)
            self._current = self._issued[current.text] = current
        return current.text, int((current.ends_at - now).total_seconds())

    def _permit_force(self, now: datetime) -> None:
        if self._forced and now - self._forced[-1] < FORCE_EVERY:
            raise Errcode(45011, "api minute-quota reach limit")
        today = [at for at in self._forced if clock.day_of(at) == clock.day_of(now)]
        if len(today) >= FORCES_A_DAY:
            raise Errcode(45009, "reach max api daily quota limit")
        self._forced = [*today, now]
        self.forces += 1

    def kill(self) -> None:
        """End the current token at once: it is refused with 40001 from now on."""
        if self._current is not None:
            self._current.dead = True

    def knows(self, token: str) -> bool:
        """Whether we ever gave it out."""
        return token in self._issued

    def check(self, token: str) -> None:
        """Raises Errcode 40001 when it was ended, 42001 when it is past its time."""
        issued = self._issued[token]
        if issued.dead:
            raise Errcode(40001, "invalid credential, access_token is invalid or not latest")
        if self._now() >= issued.ends_at:
            raise Errcode(42001, "access_token expired")
