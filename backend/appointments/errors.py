"""What can go wrong with an appointment, named after what happened."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound, Refused, TooMany


class NoSuchLine(NotFound):
    """No hall has this line, or it is not yours."""

    code = "no-such-line"
    title = "没有找到该业务类别"


class NoSuchSlot(NotFound):
    """There is no such slot."""

    code = "no-such-slot"
    title = "没有找到该时段"


class NoSuchAppointment(NotFound):
    """There is no such appointment, or it is somebody else's."""

    code = "no-such-appointment"
    title = "没有找到该预约"


class NoSuchTicket(NotFound):
    """There is no such queue number in this hall."""

    code = "no-such-ticket"
    title = "没有找到该排队号"


class SlotFull(Conflict):
    """Every place in the slot is taken."""

    code = "slot-full"
    title = "该时段已约满"


class SlotClosed(Conflict):
    """The hall has closed the slot."""

    code = "slot-closed"
    title = "该时段已停止预约"


class SlotOver(Conflict):
    """The slot has begun or is over."""

    code = "slot-over"
    title = "该时段已开始或已结束"


class NotReleased(Conflict):
    """Places of this day are not given out yet."""

    code = "slot-not-released"
    title = "该日号源尚未放出"


class DrawnInstead(Conflict):
    """Places of this day are given by a draw: enter it instead of booking."""

    code = "slot-by-draw"
    title = "该日号源通过摇号产生，请报名摇号"


class ItemNotHere(Invalid):
    """The line does not handle this item."""

    code = "item-not-handled"
    title = "该业务类别不受理此事项"


class AlreadyBooked(Conflict):
    """The person has an active appointment for this item on this day."""

    code = "already-booked"
    title = "当天已有同一事项的预约"


class TooManyBooked(Conflict):
    """The person has as many active appointments as the line allows."""

    code = "too-many-appointments"
    title = "有效预约数已达上限"


class Blocked(Refused):
    """Missed or late-cancelled too often; facts say until when."""

    code = "booking-blocked"
    title = "因多次爽约，暂停网上预约，可申诉"


class HoldOver(Conflict):
    """The place was held too long ago; it has been given back."""

    code = "hold-over"
    title = "预留时间已过，请重新选择时段"


class WrongMove(Conflict):
    """This cannot be done in the present state."""

    code = "appointment-wrong-move"
    title = "当前状态下不能进行此操作"


class TooLateToChange(Conflict):
    """The visit is too near to be changed."""

    code = "too-late-to-change"
    title = "距办理时间过近，不能改约"


class NotYourPerson(NotFound):
    """You may not act for this person."""

    code = "no-such-person"
    title = "没有找到被代办人"


class CapacityTaken(Conflict):
    """Capacity cannot go below what is taken."""

    code = "capacity-taken"
    title = "已被约走的号源不能减少"


class WalkInsFull(Conflict):
    """No place is left for people without an appointment."""

    code = "walk-ins-full"
    title = "现场号已发完"


class CheckInRefused(Refused):
    """The check-in code is forged, used, too old, or for another hall or day: which of them is not told."""

    code = "check-in-refused"
    title = "签到码无效，请在手机上刷新后重试"


class TooEarlyToCheckIn(Conflict):
    """Check-in has not begun for this visit."""

    code = "too-early-to-check-in"
    title = "未到签到时间"


class NobodyWaiting(Conflict):
    """Nobody waits for the lines of this window."""

    code = "nobody-waiting"
    title = "当前没有排队人员"


class RushRefused(TooMany):
    """More people ask at this moment than can be let in."""

    code = "rush-refused"
    title = "当前人数过多，请稍后再试"


class DrawOver(Conflict):
    """The draw does not take entries now."""

    code = "draw-not-open"
    title = "摇号报名尚未开始或已结束"
