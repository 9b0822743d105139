"""The ledger: what happened, in which order it was sealed, and which subscribers have handled it."""

from __future__ import annotations

from tortoise import fields

from models.base import Model, Record


class EventRecord(Record):
    """One fact. The service may insert it and read it, never change or delete it."""

    name = fields.CharField(max_length=64)
    subject_kind = fields.CharField(max_length=32)
    subject_id = fields.UUIDField()
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=64)
    request_id = fields.CharField(max_length=64)
    payload = fields.TextField()
    """Canonical JSON: text, so that the hash can be recomputed from exactly these bytes."""
    at = fields.DatetimeField()

    class Meta:
        table = "events"
        indexes = (("subject_kind", "subject_id", "at"), ("name", "at"))


class UnsealedEvent(Model):
    """An event that waits for its place in the chain."""

    event_id = fields.UUIDField(primary_key=True)
    shard = fields.SmallIntField()

    class Meta:
        table = "unsealed_events"
        indexes = (("shard", "event_id"),)


class EventSeal(Model):
    """The place of an event in the hash chain of its shard: hash = SHA-256(previous hash, digest of the event)."""

    id = fields.BigIntField(primary_key=True, generated=True)
    shard = fields.SmallIntField()
    position = fields.BigIntField()
    event_id = fields.UUIDField(unique=True)
    hash = fields.CharField(max_length=64)
    sealed_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "event_seals"
        unique_together = (("shard", "position"),)


class SubscriberReceipt(Model):
    """The proof that a subscriber has dealt with an event: written in the subscriber's own transaction."""

    id = fields.BigIntField(primary_key=True, generated=True)
    event_id = fields.UUIDField()
    subscriber = fields.CharField(max_length=128)
    at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "subscriber_receipts"
        unique_together = (("event_id", "subscriber"),)
