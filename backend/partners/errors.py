"""The errors of partners, in three kinds that every adapter uses.

*Busy*: it answered that we should come back. *Unreachable*: no usable answer came. *Refused*: it understood
and said no. Each names its `remedy`, so that a queue need not know any partner's codes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from backend.errors import Unavailable


class Remedy(StrEnum):
    """What the caller should do next."""

    GIVE_UP = "give-up"
    """Repeating it will never help: the person, the consent or the content is the reason."""
    RETRY = "retry"
    """Repeat it after a pause."""
    SERIALISE = "serialise"
    """Repeat it when no other call for the same person is running."""
    TOMORROW = "tomorrow"
    """A daily quota is spent; it is reset at midnight in China."""
    CONFIGURE = "configure"
    """The operator has to repair something: a secret, a permission, a template."""


class PartnerError(Unavailable):
    """A partner did not do what a call wanted. The partner's own words stay in attributes: they are for the record
    of the attempt and the log, never for a resident."""

    title = "合作平台暂时无法处理，请稍后再试"
    remedy: ClassVar[Remedy] = Remedy.RETRY

    def __init__(
        self,
        partner: str,
        partner_code: str = "",
        message: str = "",
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(retry_after=retry_after)
        self.partner = partner
        self.partner_code = partner_code
        self.message = message

    def __str__(self) -> str:
        return f"{self.partner}: {self.code} ({self.partner_code or 'no code'})"


class PartnerBusy(PartnerError):
    """The partner is up and wants the call later; nothing was done."""

    title = "合作平台繁忙，请稍后再试"


class PartnerUnreachable(PartnerError):
    """No usable answer came: refused connection, timeout, 5xx, broken body, or the breaker is open.

    `maybe_done` is True when the request may have reached the partner: then repeating it can do it twice.
    """

    title = "暂时联系不上合作平台，请稍后再试"

    def __init__(
        self,
        partner: str,
        partner_code: str = "",
        message: str = "",
        *,
        maybe_done: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(partner, partner_code, message, retry_after=retry_after)
        self.maybe_done = maybe_done


class PartnerRefused(PartnerError):
    """The partner understood and said no; repeating the same call gives the same answer."""

    title = "合作平台未接受该请求"
    retryable = False
    remedy = Remedy.GIVE_UP


class PartnerMisconfigured(PartnerRefused):
    """The partner rejects our credentials or our permissions."""

    title = "合作平台配置有误，我们正在处理"
    remedy = Remedy.CONFIGURE


class CalledInsideTransaction(RuntimeError):
    """A mistake of ours: a partner was called while a database transaction was open (nothing may wait for a
    partner with rows locked). It is not a DomainError, because no caller should ever expect it."""


class WithReason:
    """A mixin for pushes and notices that are not accepted.

    `why` is for our log; the sender learns nothing that helps to try again.
    """

    def __init__(self, why: str = "") -> None:
        super().__init__()
        self.why = why
