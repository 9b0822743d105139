"""When a demo begins: places and bills belong to days, so a story is played within one."""

from __future__ import annotations

from datetime import datetime

import pytest

from api.demo.run import LONGEST, until_tomorrow
from backend.clock import SHANGHAI


@pytest.mark.parametrize("hour", [0, 8, 12, 23])
def test_most_stories_begin_at_once(hour: int):
    assert until_tomorrow(datetime(2026, 11, 22, hour, 30, tzinfo=SHANGHAI)) == 0


@pytest.mark.parametrize("second", [0, 30, 59])
def test_a_story_that_would_run_into_midnight_waits_for_the_new_day(second: int):
    wait = until_tomorrow(datetime(2026, 12, 31, 23, 59, second, tzinfo=SHANGHAI))

    assert 60 - second < wait < 62 - second


def test_a_story_that_has_just_enough_time_does_not_wait():
    start = datetime(2026, 11, 23, tzinfo=SHANGHAI).timestamp() - LONGEST

    assert until_tomorrow(datetime.fromtimestamp(start, SHANGHAI)) == 0
    assert until_tomorrow(datetime.fromtimestamp(start + 1, SHANGHAI)) > 0
