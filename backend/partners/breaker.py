"""A circuit breaker: after several failures in a row no call waits for the partner for a while."""

from __future__ import annotations

from backend import clock
from backend.partners.errors import PartnerUnreachable

OPENS_AFTER = 5
"""Failures in a row after which it opens."""
RESTS = 10.0
"""Seconds for which every call is refused at once; then a single one is let through to try."""


class Breaker:
    """Closed, open, or half open. A call begins with `enter()` and ends with exactly one of the three outcomes."""

    def __init__(self, partner: str, *, opens_after: int = OPENS_AFTER, rests: float = RESTS) -> None:
        self.partner = partner
        self._opens_after = opens_after
        self._rests = rests
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused now."""
        return self._opened_at is not None and self._wait() > 0

    def enter(self) -> None:
        """Raises PartnerUnreachable at once, with the seconds to wait, while the breaker is open or being
        probed."""
        if self._opened_at is None:
            return
        if (wait := self._wait()) > 0:
            raise PartnerUnreachable(self.partner, "breaker-open", retry_after=wait)
        if self._probing:
            raise PartnerUnreachable(self.partner, "breaker-open", retry_after=1)
        self._probing = True

    def succeeded(self) -> None:
        """The partner answered: the count of failures starts anew."""
        self._failures = 0
        self._opened_at = None
        self._probing = False

    def failed(self) -> None:
        """The partner did not answer; a failed probe opens for another rest."""
        self._failures += 1
        if self._probing or self._failures >= self._opens_after:
            self._opened_at = clock.monotonic()
        self._probing = False

    def abandoned(self) -> None:
        """The call was cancelled which proves nothing about the partner; the next one may probe."""
        self._probing = False

    def _wait(self) -> float:
        return 0.0 if self._opened_at is None else self._opened_at + self._rests - clock.monotonic()
