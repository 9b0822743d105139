"""The sample halls' lines, windows, hours and slots: the same ids on every machine, safe to repeat.

Lines handle the items whose guides name the hall, by what their departments are about; hours are the hall's own, and
make-up working days are worked like a Monday. Slots of the days ahead are added each time, with ids made of line and
start; days whose holidays are not published yet get none.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from backend import calendar, clock
from backend.appointments import slots
from backend.appointments.events import SlotsOpened
from backend.appointments.hours import MAKE_UP, Opening, Stretch, set_line_hours
from backend.appointments.lines import LineRules, define_line, set_line_items
from backend.appointments.windows import set_window
from backend.catalogue.seeding import read, stable_id
from backend.database import fetch, transaction
from backend.events import record
from backend.identity.principals import AsOperator
from models.appointments import Admission, ServiceLine, Slot
from models.appointments import Window as WindowRow

DAYS_AHEAD = 14
_OPERATOR = AsOperator()


class SampleLine(NamedTuple):
    """A line of a sample hall: what its items are about, and the places of each slot."""

    hall: str
    code: str
    name: str
    domains: tuple[str, ...]
    capacity: int = 6
    walk_ins: int = 2
    admission: Admission = Admission.FIRST_COME
    slot_minutes: int = 30


LINES = (
    SampleLine("city-hall", "A", "户籍身份证", ("公安",), capacity=8),
    SampleLine("city-hall", "B", "社保医保", ("人社", "医保"), capacity=10),
    SampleLine("city-hall", "C", "企业登记与税务", ("市场监管", "税务")),
    SampleLine("city-hall", "D", "不动产、公积金与卫生健康", ("不动产", "公积金", "卫健")),
    SampleLine("exit-entry-hall", "A", "出入境证件", ("公安",), capacity=8),
    SampleLine("property-hall", "A", "不动产登记", ("不动产",), capacity=4),
    SampleLine("property-hall", "B", "涉税办理", ("税务",), capacity=4),
    SampleLine("chengzhong-hall", "A", "入学报名", ("教育",), capacity=4, admission=Admission.DRAW),
    SampleLine("chengzhong-hall", "B", "住房公积金", ("公积金",), capacity=4),
    SampleLine("yunshan-hall", "A", "婚姻与民政", ("民政",), capacity=3, walk_ins=1),
    SampleLine("shiqiao-point", "A", "便民服务", ("民政",), capacity=2, walk_ins=1, slot_minutes=60),
)
WINDOWS = {
    "city-hall": (("1", "A"), ("2", "AB"), ("3", "B"), ("4", "C"), ("5", "CD"), ("6", "ABCD")),
    "exit-entry-hall": (("1", "A"), ("2", "A")),
    "property-hall": (("1", "A"), ("2", "AB")),
    "chengzhong-hall": (("1", "A"), ("2", "AB")),
    "yunshan-hall": (("1", "A"), ("2", "A")),
    "shiqiao-point": (("1", "A"),),
}
"""The windows of each hall and the letters of the lines that they serve."""

_ITEMS = """
SELECT i.code FROM service_items i JOIN departments d ON d.id = i.department_id
JOIN item_versions v ON v.item_id = i.id AND v.state = 'published'
WHERE d.domain = ANY($1) AND v.guide -> 'hall_ids' @> to_jsonb($2::text) ORDER BY i.code
"""


def line_id(hall: str, code: str) -> UUID:
    """The id of a sample line."""
    return stable_id("line", f"{hall}/{code}")


def slot_id(line: UUID, stretch: Stretch) -> UUID:
    """The id of a sample slot: its line and the moment at which it starts."""
    return stable_id("slot", f"{line}/{stretch.starts_at.astimezone(clock.SHANGHAI).isoformat()}")


async def seed() -> int:
    """Fill in what is missing; how many slots were opened. The catalogue must be there. Call with an actor set."""
    halls = {entry["code"]: entry for entry in read("places.toml")["halls"]}
    for sample in LINES:
        if not await ServiceLine.exists(id=line_id(sample.hall, sample.code)):
            await _line(sample, halls[sample.hall])
    for hall, windows in WINDOWS.items():
        for number, letters in windows:
            await _window(hall, number, letters)
    return sum([await _slots(line_id(sample.hall, sample.code)) for sample in LINES])


async def _line(sample: SampleLine, hall: dict[str, Any]) -> None:
    hall_id, identity = stable_id("hall", sample.hall), line_id(sample.hall, sample.code)
    rules = LineRules(code=sample.code, name=sample.name, admission=sample.admission, slot_minutes=sample.slot_minutes)
    codes = [row["code"] for row in await fetch(_ITEMS, list(sample.domains), str(hall_id))]
    async with transaction():
        await define_line(_OPERATOR, hall_id, rules, line_id=identity)
        await set_line_items(_OPERATOR, identity, codes)
        await set_line_hours(_OPERATOR, identity, openings_of(hall["hours"], sample.capacity, sample.walk_ins))


def openings_of(hours: list[dict[str, Any]], capacity: int, walk_ins: int) -> list[Opening]:
    """A hall's opening hours as a template; make-up working days are worked like a Monday."""
    days = [(day, each) for each in hours for day in each["days"]]
    days += [(MAKE_UP, each) for each in hours if 1 in each["days"]]
    return [
        Opening(weekday=day, opens=each["opens"], closes=each["closes"], capacity=capacity, walk_ins=walk_ins)
        for day, each in days
    ]


async def _window(hall: str, number: str, letters: str) -> None:
    identity = stable_id("window", f"{hall}/{number}")
    if not await WindowRow.exists(id=identity):
        served = [line_id(hall, letter) for letter in letters]
        hall_id = stable_id("hall", hall)
        await set_window(_OPERATOR, hall_id, number, line_ids=served, open=True, window_id=identity)


async def _slots(line: UUID) -> int:
    first = clock.today()
    last = slots.last_covered(await calendar.load(), first, first + timedelta(days=DAYS_AHEAD))
    if last is None:
        return 0
    made = await slots.generate_slots(_OPERATOR, line, first, last, new_id=lambda each: slot_id(line, each))
    return made.slots


SHOWN = ("city-hall", "A")
"""The hall and line in which a demo shows a visit."""
SOON, LENGTH = timedelta(minutes=20), timedelta(minutes=30)


async def open_now(capacities: tuple[int, ...]) -> list[UUID]:
    """Slots of today that begin within the hour, one per capacity, on any day: a demo on a holiday shows a
    visit from booking to the window, too. Their ids are new each time. Call with an actor set."""
    line, hall_id = line_id(*SHOWN), stable_id("hall", SHOWN[0])
    day = clock.today()
    midnight = datetime.combine(day + timedelta(days=1), time(), clock.SHANGHAI)
    made = []
    async with transaction():
        for number, capacity in enumerate(capacities):
            starts_at = min(clock.now() + SOON, midnight - timedelta(seconds=1)) - timedelta(seconds=number)
            slot = await Slot.create(
                line_id=line,
                hall_id=hall_id,
                day=day,
                starts_at=starts_at,
                ends_at=starts_at + LENGTH,
                release_at=clock.now() - timedelta(minutes=1),
                capacity=capacity,
                walk_in_quota=2,
            )
            made.append(slot.id)
        await record(SlotsOpened(line_id=line, first=day, last=day, slots=len(made)))
    return made
