"""What every row has: an id that sorts by time, and when it was made."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.models import Model as TortoiseModel
from tortoise.models import ModelMeta
from uuid_utils.compat import uuid7


class _ModelMeta(ModelMeta):
    """Build a model without reading its source.

    Tortoise looks for `#:` comments in the source of every model; before Python 3.13 the standard library parses the
    whole module for that, once per class: a fifth of the time that the import of the application took. The models here
    describe fields in docstrings, so the switch that Tortoise's own migrations use is always on.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> _ModelMeta:
        return super().__new__(cls, name, bases, {"_no_comments": True, **attrs})  # type: ignore[return-value]


class Model(TortoiseModel, metaclass=_ModelMeta):
    """A row whose primary key is its own."""

    class Meta:
        abstract = True


class Record(Model):
    """A row with a UUIDv7: unguessable enough to show, ordered enough to index."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        abstract = True
