"""Staff set working days by hand: a typhoon, a local holiday, the next year before our calendar knows it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from litestar import Controller, delete, put
from litestar.params import FromPath, JSONBody, PathParameter
from msgspec import Meta, Struct

from api import openapi
from api.auth import duty
from backend import calendar

Year = Annotated[int, PathParameter(ge=1990, le=2999, description="年份")]


class DayIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whether the day is worked, and why, in the words that residents read."""

    working: bool
    name: Annotated[str, Meta(min_length=1, max_length=64)]


class YearIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The notice by which the year was arranged. All its days off and make-up days must have been set before."""

    source: Annotated[str, Meta(min_length=1, max_length=200)]


class CalendarController(Controller):
    """`/v1/staff/calendar`."""

    path = "/calendar"
    tags = ["工作日历"]
    guards = [duty("calendar.edit")]

    @put(
        "/days/{day:date}",
        summary="设定某一天上班或休息",
        description="以最后一次设定为准，优先于已公布的安排。受影响的在办办件会重新推算承诺办结日。",
        operation_id="setCalendarDay",
        status_code=204,
    )
    async def set_day(self, day: FromPath[date], data: JSONBody[DayIn]) -> None:
        await calendar.set_day(day, working=data.working, name=data.name)

    @delete("/days/{day:date}", summary="撤销对某一天的设定", operation_id="unsetCalendarDay")
    async def unset_day(self, day: FromPath[date]) -> None:
        await calendar.unset_day(day)

    @put(
        "/years/{year:int}",
        summary="确认某一年的安排已全部录入",
        description="确认后，期限可以推算到该年；此前该年的日期不作猜测。",
        operation_id="vouchForCalendarYear",
        status_code=204,
    )
    async def vouch_for(self, year: FromPath[Year], data: JSONBody[YearIn]) -> None:
        await calendar.vouch_for(year, source=data.source)


openapi.LINKS["vouchForCalendarYear"] = {
    "year": {"operationId": "getCalendarYear", "parameters": {"year": "$request.path.year"}}
}
