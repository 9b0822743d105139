"""A hall's staff set its lines, open and close its slots, watch its day and decide on appeals."""

from __future__ import annotations

from api.staff.appointments.day import DayController
from api.staff.appointments.lines import LineController
from api.staff.appointments.slots import SlotController
from api.staff.appointments.strikes import StrikeController
from api.staff.appointments.windows import WindowController

CONTROLLERS = (DayController, LineController, WindowController, SlotController, StrikeController)

__all__ = ["CONTROLLERS"]
