"""What every row has: an id that sorts by time, and when it was made."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model
from uuid_utils.compat import uuid7


class Record(Model):
    """A row with a UUIDv7: unguessable enough to show, ordered enough to index."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        abstract = True
