"""What every channel makes of a message: a prepared call to the partner, or the reason why the channel is skipped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from backend.partners import Partners
from notifications import wording
from notifications.outbox import LeasedMessage
from notifications.templates import ChannelContent, PartnerTemplate


class PreparedMessage(NamedTuple):
    """A message ready to go. `send` makes the call and returns the partner's id of the message."""

    send: Callable[[], Awaitable[str]]
    spends: str = ""
    """WeChat's id of the template whose one-off consent it uses."""


class Skipped(NamedTuple):
    """Why a channel is skipped: one of the codes of notifications/proof.py."""

    code: str


Prepare = Callable[[LeasedMessage, Partners], Awaitable[PreparedMessage | Skipped]]

NOT_FOR_THIS = Skipped("not-for-this-message")
NO_CONSENT = Skipped("no-consent")
NO_ADDRESS = Skipped("no-address")
SWITCHED_OFF = Skipped("switched-off")


def template_data(content: ChannelContent, template: PartnerTemplate, context: Mapping[str, str]) -> dict[str, str]:
    """The values of a WeChat template, each within the limits of its kind."""
    return {
        template.keys.get(key, key): wording.fit(key, wording.fill(text, context))
        for key, text in content.fields.items()
    }
