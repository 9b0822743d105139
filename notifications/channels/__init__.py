"""The ways to a resident, in the order in which they are tried; the inbox is the floor and always reached."""

from __future__ import annotations

from backend.partners import Partners
from models.notifications import ChannelName
from notifications.channels import mini_program, official_account, sms
from notifications.channels.letters import Letter, Prepare, Skipped
from notifications.outbox import Parcel

__all__ = ["ORDER", "Letter", "Skipped", "after", "from_here", "prepare"]

ORDER: tuple[ChannelName, ...] = (
    ChannelName.MINI_PROGRAM,
    ChannelName.OFFICIAL_ACCOUNT,
    ChannelName.SMS,
    ChannelName.INBOX,
)
_PREPARE: dict[ChannelName, Prepare] = {
    ChannelName.MINI_PROGRAM: mini_program.prepare,
    ChannelName.OFFICIAL_ACCOUNT: official_account.prepare,
    ChannelName.SMS: sms.prepare,
}


def from_here(channel: ChannelName) -> tuple[ChannelName, ...]:
    """This way and those after it."""
    return ORDER[ORDER.index(channel) :]


def after(channel: ChannelName) -> ChannelName:
    """The way to try when this one does not work."""
    return ORDER[ORDER.index(channel) + 1]


async def prepare(channel: ChannelName, parcel: Parcel, partners: Partners) -> Letter | Skipped:
    """The message as this way carries it, or why the way is not tried."""
    return await _PREPARE[channel](parcel, partners)
