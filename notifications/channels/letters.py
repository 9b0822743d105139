"""What every way makes of a message: something to send, or a reason why not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from backend.partners import Partners
from notifications import wording
from notifications.outbox import Parcel
from notifications.templates import PartnerTemplate, Way


class Letter(NamedTuple):
    """A message ready to go. `send` makes the call and gives the partner's id of it."""

    send: Callable[[], Awaitable[str]]
    spends: str = ""
    """WeChat's id of the template whose one-off consent it uses."""


class Skipped(NamedTuple):
    """Why a way is not tried: one of the codes of notifications/proof.py."""

    code: str


Prepare = Callable[[Parcel, Partners], Awaitable[Letter | Skipped]]

NOT_FOR_THIS = Skipped("not-for-this-message")
NO_CONSENT = Skipped("no-consent")
NO_ADDRESS = Skipped("no-address")
SWITCHED_OFF = Skipped("switched-off")


def data_of(way: Way, template: PartnerTemplate, context: Mapping[str, str]) -> dict[str, str]:
    """The values of a WeChat template, each within the limits of its kind."""
    return {
        template.keys.get(key, key): wording.fit(key, wording.fill(text, context)) for key, text in way.fields.items()
    }
