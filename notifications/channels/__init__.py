"""The channels to a resident, in the order in which they are tried; the inbox comes last and always works."""

from __future__ import annotations

from backend.partners import Partners
from models.notifications import ChannelName
from notifications.channels import mini_program, official_account, sms
from notifications.channels.prepared import Prepare, PreparedMessage, Skipped
from notifications.outbox import LeasedMessage

__all__ = ["ORDER", "PreparedMessage", "Skipped", "channels_from", "next_channel", "prepare"]

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


def channels_from(channel: ChannelName) -> tuple[ChannelName, ...]:
    """This channel and those after it."""
    return ORDER[ORDER.index(channel) :]


def next_channel(channel: ChannelName) -> ChannelName:
    """The channel to try when this one does not work."""
    return ORDER[ORDER.index(channel) + 1]


async def prepare(channel: ChannelName, message: LeasedMessage, partners: Partners) -> PreparedMessage | Skipped:
    """The message as this channel carries it, or why the channel is skipped."""
    return await _PREPARE[channel](message, partners)
