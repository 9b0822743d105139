"""Keys that clients send so that a repeated request has one effect."""

from __future__ import annotations

from tortoise import fields

from models.base import Model


class IdempotencyKey(Model):
    """A key of one caller on one route, what was asked with it, and the answer it got."""

    id = fields.BigIntField(primary_key=True, generated=True)
    scope = fields.CharField(max_length=128)
    """Whose key, on which route: `resident:<id> POST /v1/...`."""
    key = fields.CharField(max_length=255)
    fingerprint = fields.CharField(max_length=64)
    """Keyed digest of the request body."""
    status = fields.SmallIntField()
    body = fields.BinaryField()
    """Sealed: the answer names people."""
    media_type = fields.CharField(max_length=64)
    expires_at = fields.DatetimeField()

    class Meta:
        table = "idempotency_keys"
        unique_together = (("scope", "key"),)
        indexes = (("expires_at",),)
