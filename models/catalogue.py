"""Service items (事项), their versions, and the page of the catalogue that is open to the public."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.contrib.postgres.indexes import GinIndex
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models.base import Record
from models.regions import Department


class ItemKind(StrEnum):
    """事项类型, of which the catalogue of powers knows these."""

    LICENCE = "licence"
    CONFIRMATION = "confirmation"
    PAYMENT = "payment"
    LEVY = "levy"
    REWARD = "reward"
    RULING = "ruling"
    OTHER_POWER = "other-power"
    PUBLIC_SERVICE = "public-service"


class VersionState(StrEnum):
    """Where a version of an item stands. The moves are in backend/catalogue/lifecycle.py."""

    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class ServiceItem(Record):
    """One thing that one department does for the public, under one code for ever."""

    code = fields.CharField(max_length=40, unique=True)
    department: fields.ForeignKeyRelation[Department] = fields.ForeignKeyField(
        "models.Department", related_name="items", on_delete=OnDelete.RESTRICT
    )
    kind = fields.CharEnumField(ItemKind, max_length=20)
    level = fields.CharField(max_length=1)
    """行使层级, 1 national to 6 village."""
    basic_code = fields.CharField(max_length=12)

    class Meta:
        table = "service_items"
        constraints = (CheckConstraint("level BETWEEN '1' AND '6'", name="service_item_level_known"),)


class ItemVersion(Record):
    """What an item's guide says, from one publication to the next. Only drafts ever change.

    `revision` grows with every edit: an editor who saves over someone else's work is refused.
    """

    item: fields.ForeignKeyRelation[ServiceItem] = fields.ForeignKeyField(
        "models.ServiceItem", related_name="versions", on_delete=OnDelete.RESTRICT
    )
    number = fields.IntField()
    based_on = fields.IntField(null=True)
    """The number that was published when this draft was begun: it may replace that one and no other."""
    state = fields.CharEnumField(VersionState, max_length=10, default=VersionState.DRAFT)
    revision = fields.IntField(default=1)
    name = fields.CharField(max_length=100)
    themes = ArrayField(element_type="text")
    keywords = ArrayField(element_type="text")
    """What people call it besides its name."""
    guide = fields.JSONField[dict[str, Any]]()
    """A `backend.catalogue.guide.Guide`."""
    drafted_by = fields.UUIDField(null=True)
    published_at = fields.DatetimeField(null=True)
    published_by = fields.UUIDField(null=True)
    withdrawn_at = fields.DatetimeField(null=True)
    withdrawn_because = fields.CharField(max_length=200, default="")

    class Meta:
        table = "item_versions"
        unique_together = (("item_id", "number"),)
        constraints = (
            UniqueConstraint(fields=("item_id",), name="item_published_once", condition="state = 'published'"),
            CheckConstraint("number >= 1 AND revision >= 1", name="item_version_counts_from_one"),
            CheckConstraint("state = 'draft' OR published_at IS NOT NULL", name="item_version_published_some_time"),
            CheckConstraint(
                "(state = 'withdrawn') = (withdrawn_at IS NOT NULL)", name="item_version_withdrawn_some_time"
            ),
        )


class CatalogueEntry(Record):
    """A published item as the public finds it: the row of a list, and the text that a search looks through.

    `id` is the item's. Written when a version is published and removed when it is withdrawn, in that transaction.
    """

    version_id = fields.UUIDField(unique=True)
    code = fields.CharField(max_length=40, unique=True)
    name = fields.CharField(max_length=100)
    domain = fields.CharField(max_length=20)
    department_id = fields.UUIDField()
    region_code = fields.CharField(max_length=12)
    themes = ArrayField(element_type="text")
    subjects = ArrayField(element_type="text")
    card = fields.JSONField[dict[str, Any]]()
    """The row of a list, ready to be sent: `backend.catalogue.browsing.Card`."""
    name_text = fields.TextField()
    """The name, as `backend.catalogue.wording.normal` writes it."""
    keyword_text = fields.TextField()
    body_text = fields.TextField()
    initials = fields.TextField()
    """First letters of the pinyin of name and keywords, one word each."""
    pinyin = fields.TextField()
    """Full pinyin from each syllable on, one word each."""
    grams = ArrayField(element_type="text")
    """Single characters and pairs of all of the above: what the index holds."""

    class Meta:
        table = "catalogue_entries"
        indexes = (GinIndex(fields=("grams",), name="catalogue_entries_grams"), ("region_code", "name"))
