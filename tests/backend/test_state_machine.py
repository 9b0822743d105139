"""One table says what may happen; everything else is refused with what may."""

from __future__ import annotations

from enum import StrEnum

import pytest

from backend.errors import Conflict
from backend.state_machine import StateMachine


class Lamp(StrEnum):
    OFF = "off"
    ON = "on"
    BROKEN = "broken"


class Press(StrEnum):
    SWITCH = "switch"
    BREAK = "break"


class LampRefused(Conflict):
    title = "灯坏了"


LAMP = StateMachine(
    {(Lamp.OFF, Press.SWITCH): Lamp.ON, (Lamp.ON, Press.SWITCH): Lamp.OFF, (Lamp.ON, Press.BREAK): Lamp.BROKEN},
    refused=LampRefused,
)


def test_a_transition_of_the_table_leads_where_the_table_says():
    assert LAMP.after(Lamp.OFF, Press.SWITCH) is Lamp.ON
    assert LAMP.states_allowing(Press.SWITCH) == {Lamp.OFF, Lamp.ON}
    assert LAMP.allows(Lamp.ON, Press.BREAK)


def test_any_other_transition_is_refused_with_what_is_allowed():
    with pytest.raises(LampRefused) as refused:
        LAMP.after(Lamp.OFF, Press.BREAK)

    assert refused.value.facts == {"state": "off", "transition": "break", "allowed": ["switch"]}


def test_front_ends_see_which_states_are_terminal():
    data = LAMP.as_data({Lamp.OFF: "关", Lamp.ON: "开", Lamp.BROKEN: "坏"})

    assert [each["terminal"] for each in data["states"]] == [False, False, True]
    assert {"transition": "break", "from": "on", "to": "broken"} in data["transitions"]
