"""Days on which halls work although the published calendar says otherwise, or the other way round."""

from __future__ import annotations

from tortoise import fields

from models.base import Model


class CalendarDay(Model):
    """One day that is set by hand; it wins over the published calendar."""

    day = fields.DateField(primary_key=True)
    working = fields.BooleanField()
    name = fields.CharField(max_length=64)
    """What residents read: 春节, 调休上班, 台风停工 …"""
    set_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "calendar_days"


class CalendarYear(Model):
    """A year whose arrangement has been entered in full by hand, so that we may count through it.

    The State Council publishes the next year's arrangement in November; this is how an operator enters it
    without waiting for a new release of the published calendar.
    """

    year = fields.SmallIntField(primary_key=True)
    source = fields.CharField(max_length=200)
    """The notice that the arrangement comes from."""
    set_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "calendar_years"
