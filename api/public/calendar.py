"""The working calendar of a year: the days that are not what their weekday says."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, PathParameter
from msgspec import Struct

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.problems import answers
from backend import calendar

Year = Annotated[int, PathParameter(ge=1990, le=2999, description="年份")]


class SpecialDay(Struct):
    """A day off between Monday and Friday, or a day at the weekend that is worked."""

    day: date
    working: bool
    name: str | None


class YearOut(Struct):
    """A year whose arrangement is known. Every day that is not listed is what its weekday says."""

    year: int
    days: list[SpecialDay]


class CalendarController(Controller):
    """`/v1/public/calendar`."""

    path = "/calendar"
    tags = ["公共"]

    @get(
        "/{year:int}",
        summary="一年的节假日与调休安排",
        description="办理期限按此日历计算工作日。尚未公布安排的年份回答 409。",
        operation_id="getCalendarYear",
        middleware=[Revalidated(public=True, max_age=3600)],
        response_headers=HEADERS,
        responses=answers(calendar.special_days) | NOT_MODIFIED,
    )
    async def get_year(self, year: FromPath[Year]) -> YearOut:
        return YearOut(year, [SpecialDay(day, *what) for day, what in await calendar.special_days(year)])


_DAY = {"day": "$response.body#/days/0/day"}
openapi.LINKS["getCalendarYear"] = {
    "setDay": {"operationId": "setCalendarDay", "parameters": _DAY},
    "unsetDay": {"operationId": "unsetCalendarDay", "parameters": _DAY},
    "vouch": {"operationId": "vouchForCalendarYear", "parameters": {"year": "$response.body#/year"}},
}
