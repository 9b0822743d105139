"""Regions, the departments that govern in them, and the halls where residents are received."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from models.base import Record


class RegionLevel(StrEnum):
    """Province, city, county and below."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    TOWN = "town"
    VILLAGE = "village"


class Region(Record):
    """A region under one code (GB/T 2260) for one stretch of time.

    When a county becomes a district it gets a new code and a new row; the old row ends and names its successor.
    """

    code = fields.CharField(max_length=12)
    name = fields.CharField(max_length=60)
    level = fields.CharEnumField(RegionLevel, max_length=10)
    parent: fields.ForeignKeyNullableRelation[Region] = fields.ForeignKeyField(
        "models.Region", related_name="parts", on_delete=OnDelete.RESTRICT, null=True
    )
    valid_from = fields.DateField()
    valid_to = fields.DateField(null=True)
    """The first day on which the code is no longer in use; null while it is."""
    successor: fields.ForeignKeyNullableRelation[Region] = fields.ForeignKeyField(
        "models.Region", related_name="predecessors", on_delete=OnDelete.RESTRICT, null=True
    )

    class Meta:
        table = "regions"
        unique_together = (("code", "valid_from"),)
        constraints = (
            UniqueConstraint(fields=("code",), name="region_code_in_use_once", condition="valid_to IS NULL"),
            CheckConstraint("code ~ '^[1-9][0-9]{5}([0-9]{6})?$'", name="region_code_form"),
            CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="region_ends_after_it_begins"),
            CheckConstraint("successor_id IS NULL OR valid_to IS NOT NULL", name="region_successor_when_ended"),
            CheckConstraint("(level = 'province') = (parent_id IS NULL)", name="region_parent_unless_province"),
        )


class Department(Record):
    """An authority that implements service items and answers for them."""

    uscc = fields.CharField(max_length=18, unique=True)
    """统一社会信用代码: the first part of the codes of its items."""
    name = fields.CharField(max_length=100)
    domain = fields.CharField(max_length=20)
    """What it is about, in the words of the menu: 公安, 人社, 医保 …"""
    region: fields.ForeignKeyRelation[Region] = fields.ForeignKeyField(
        "models.Region", related_name="departments", on_delete=OnDelete.RESTRICT
    )
    phone = fields.CharField(max_length=20)

    class Meta:
        table = "departments"
        constraints = (CheckConstraint("length(uscc) = 18", name="department_uscc_length"),)


class Hall(Record):
    """A place that receives residents."""

    code = fields.CharField(max_length=40, unique=True)
    """A short name for seeds and signs: `city-hall`."""
    name = fields.CharField(max_length=100)
    region: fields.ForeignKeyRelation[Region] = fields.ForeignKeyField(
        "models.Region", related_name="halls", on_delete=OnDelete.RESTRICT
    )
    address = fields.CharField(max_length=200)
    phone = fields.CharField(max_length=20)
    hours = fields.JSONField[list[dict[str, object]]]()
    """Opening hours: a list of `backend.regions.halls.Hours`."""
    latitude = fields.DecimalField(max_digits=9, decimal_places=6)
    """Degrees in GCJ-02, the coordinates of maps on Chinese phones."""
    longitude = fields.DecimalField(max_digits=9, decimal_places=6)
    directions = fields.CharField(max_length=200, default="")

    class Meta:
        table = "halls"
        constraints = (
            CheckConstraint("latitude BETWEEN -90 AND 90", name="hall_latitude_on_earth"),
            CheckConstraint("longitude BETWEEN -180 AND 180", name="hall_longitude_on_earth"),
        )
