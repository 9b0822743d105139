"""What partners push to us: each push is stored once, however often it came."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields

from models.base import Record


class InboundState(StrEnum):
    """Whether a push was handled."""

    RECEIVED = "received"
    HANDLED = "handled"


class InboundMessage(Record):
    """One push of one partner, verified. The body names people and is sealed; it is deleted after a while."""

    partner = fields.CharField(max_length=32)
    partner_id = fields.CharField(max_length=64)
    """The partner's own id of the push, or a digest of what identifies it."""
    nonce = fields.CharField(max_length=64, null=True)
    """Digest of what the partner signs once per push; other content with it is a forgery."""
    event = fields.CharField(max_length=64)
    body = fields.TextField()
    state = fields.CharEnumField(InboundState, max_length=16, default=InboundState.RECEIVED)
    received_at = fields.DatetimeField()
    handled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "inbound_messages"
        unique_together = (("partner", "partner_id"), ("partner", "nonce"))
        indexes = (("received_at",),)
