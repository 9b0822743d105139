"""Appointments: lines and slots of halls, places that are never sold twice, and the day in the hall.

The face of the domain: other packages use these names, and the modules `errors`, `events` and `seeding`.
Importing the package registers its jobs.
"""

from __future__ import annotations

from backend.appointments.admission import admitted_to_slot, booking_queue
from backend.appointments.attending import check_in, check_in_by_code, check_in_by_identity, end_past_visits, walk_in
from backend.appointments.board import Board, Frame, end_board_streams, get_board, stream_board
from backend.appointments.booking import Visitor, book_place, confirm_booking, hold_place
from backend.appointments.calling import (
    call_next,
    call_ticket_again,
    hand_over_ticket,
    list_queue,
    miss_ticket,
    rejoin_queue,
    serve_ticket,
)
from backend.appointments.cancelling import cancel_appointment, expire_holds
from backend.appointments.check_in_codes import CheckInCode, delete_spent_codes, issue_check_in_code
from backend.appointments.closing import DayClosure, SlotClosure, close_day, close_slot, reopen_day, reopen_slot
from backend.appointments.days_off import DayOff, list_days_off
from backend.appointments.draw_entries import DrawEntrySummary, list_own_draw_entries
from backend.appointments.drawing import (
    MOST_DRAW_SLOTS,
    DrawEntryReceipt,
    DrawProof,
    enter_draw,
    get_draw_proof,
    hold_due_draws,
    prepare_draws,
)
from backend.appointments.estimating import QueuePlace, get_queue_place
from backend.appointments.hours import Opening, Places, list_line_hours, set_line_hours
from backend.appointments.lifecycle import as_data as lifecycles_as_data
from backend.appointments.lines import (
    LineDetail,
    LineRules,
    define_line,
    get_line,
    list_lines,
    set_line_items,
    update_line,
)
from backend.appointments.missing import mark_missed_visits
from backend.appointments.places import COUNTED, Booking
from backend.appointments.posters import appointment_poster, hall_poster
from backend.appointments.reminding import record_visit_reminders
from backend.appointments.rescheduling import reschedule_appointment
from backend.appointments.resident_views import (
    AppointmentDetail,
    AppointmentSummary,
    DayAvailability,
    get_availability,
    get_own_appointment,
    list_own_appointments,
)
from backend.appointments.resting import release_rested_places
from backend.appointments.slots import (
    GeneratedSlots,
    SlotCapacity,
    generate_slots,
    keep_slot_horizon,
    set_slot_capacity,
)
from backend.appointments.staff_views import (
    SlotSummary,
    StaffAppointmentSummary,
    list_day_appointments,
    list_own_halls,
    list_slot_summaries,
)
from backend.appointments.strikes import (
    AppealDetail,
    StrikeDetail,
    appeal_strike,
    decide_appeal,
    list_appeals,
    list_own_strikes,
)
from backend.appointments.tickets import QueueTicket
from backend.appointments.waiting import (
    WaitingEntryDetail,
    end_past_waiting,
    join_waiting_list,
    leave_waiting_list,
    list_own_waiting_entries,
    offer_free_places,
)
from backend.appointments.windows import WindowDetail, list_windows, set_window

__all__ = [
    "COUNTED",
    "MOST_DRAW_SLOTS",
    "AppealDetail",
    "AppointmentDetail",
    "AppointmentSummary",
    "Board",
    "Booking",
    "CheckInCode",
    "DayAvailability",
    "DayClosure",
    "DayOff",
    "DrawEntryReceipt",
    "DrawEntrySummary",
    "DrawProof",
    "Frame",
    "GeneratedSlots",
    "LineDetail",
    "LineRules",
    "Opening",
    "Places",
    "QueuePlace",
    "QueueTicket",
    "SlotCapacity",
    "SlotClosure",
    "SlotSummary",
    "StaffAppointmentSummary",
    "StrikeDetail",
    "Visitor",
    "WaitingEntryDetail",
    "WindowDetail",
    "admitted_to_slot",
    "appeal_strike",
    "appointment_poster",
    "book_place",
    "booking_queue",
    "call_next",
    "call_ticket_again",
    "cancel_appointment",
    "check_in",
    "check_in_by_code",
    "check_in_by_identity",
    "close_day",
    "close_slot",
    "confirm_booking",
    "decide_appeal",
    "define_line",
    "delete_spent_codes",
    "end_board_streams",
    "end_past_visits",
    "end_past_waiting",
    "enter_draw",
    "expire_holds",
    "generate_slots",
    "get_availability",
    "get_board",
    "get_draw_proof",
    "get_line",
    "get_own_appointment",
    "get_queue_place",
    "hall_poster",
    "hand_over_ticket",
    "hold_due_draws",
    "hold_place",
    "issue_check_in_code",
    "join_waiting_list",
    "keep_slot_horizon",
    "leave_waiting_list",
    "lifecycles_as_data",
    "list_appeals",
    "list_day_appointments",
    "list_days_off",
    "list_line_hours",
    "list_lines",
    "list_own_appointments",
    "list_own_draw_entries",
    "list_own_halls",
    "list_own_strikes",
    "list_own_waiting_entries",
    "list_queue",
    "list_slot_summaries",
    "list_windows",
    "mark_missed_visits",
    "miss_ticket",
    "offer_free_places",
    "prepare_draws",
    "record_visit_reminders",
    "rejoin_queue",
    "release_rested_places",
    "reopen_day",
    "reopen_slot",
    "reschedule_appointment",
    "serve_ticket",
    "set_line_hours",
    "set_line_items",
    "set_slot_capacity",
    "set_window",
    "stream_board",
    "update_line",
    "walk_in",
]
