"""What can go wrong with an appointment, named after what happened."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound, Refused, TooMany, Unavailable


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


class OtherLine(Conflict):
    """An appointment moves only within its line; for another one it is booked anew."""

    code = "other-line"
    title = "只能改约到同一业务类别的其他时段"


class NoSuchEntry(NotFound):
    """There is no such entry in a waiting list, or it is somebody else's."""

    code = "no-such-waiting-entry"
    title = "没有找到该候补记录"


class NoSuchDraw(NotFound):
    """There is no draw for this line and day."""

    code = "no-such-draw"
    title = "该日没有摇号"


class AlreadyWaiting(Conflict):
    """The person waits for a place on this day already."""

    code = "already-waiting"
    title = "已在该日的候补名单中"


class AlreadyEntered(Conflict):
    """The person takes part in this draw already."""

    code = "already-entered"
    title = "已报名该日的摇号"


class PlacesLeft(Conflict):
    """Nobody has to wait: there are places of this day."""

    code = "places-left"
    title = "该日尚有号源，请直接预约"


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


class NoSuchStrike(NotFound):
    """There is no such strike, or it is somebody else's."""

    code = "no-such-strike"
    title = "没有找到该爽约记录"


class LineExists(Conflict):
    """The hall has a line with this letter already."""

    code = "line-exists"
    title = "该大厅已有相同代号的业务类别"


class ItemOnOtherLine(Conflict):
    """In one hall an item belongs to one line, and another line of the hall has it."""

    code = "item-on-other-line"
    title = "该事项已归入本大厅的其他业务类别"


class LineFaulty(Invalid):
    """What was said about a line, its items, hours or windows cannot be."""

    code = "line-faulty"
    title = "业务类别设置有误"


class RangeFaulty(Invalid):
    """The range of days is empty, over, or too long."""

    code = "slot-range-faulty"
    title = "日期范围有误"


class SlotOpen(Conflict):
    """The slot is not closed, so it cannot be reopened."""

    code = "slot-open"
    title = "该时段未停止预约"


class AppealedAlready(Conflict):
    """An appeal has been made, or the strike has been decided on."""

    code = "strike-appealed"
    title = "该爽约记录已申诉或已处理"


class NothingToDecide(Conflict):
    """The strike was decided on already, or there is no appeal that could be turned down."""

    code = "strike-nothing-to-decide"
    title = "该爽约记录没有待处理的申诉"


class OwnStrike(Refused):
    """Whoever marked the visit as missed does not decide on the appeal."""

    code = "strike-own"
    title = "申诉须由登记爽约的工作人员以外的人处理"


class TooLateToCheckIn(Conflict):
    """The slot is over; staff may still check the person in on the same day."""

    code = "too-late-to-check-in"
    title = "已过签到时间，请到服务台办理"


class KioskTriesTooMany(TooMany):
    """Too many tries with this phone number, or at this kiosk."""

    code = "kiosk-tries-too-many"
    title = "尝试次数过多，请到服务台办理"


class NoSuchWindow(NotFound):
    """There is no such window, or it is in another hall."""

    code = "no-such-window"
    title = "没有找到该窗口"


class WindowShut(Conflict):
    """The window is shut and calls nobody."""

    code = "window-shut"
    title = "该窗口未开放"


class WindowBusy(Conflict):
    """The window has called a number that is neither served nor missed."""

    code = "window-busy"
    title = "请先办结或过号当前号码"


class BoardFull(Unavailable):
    """As many follow live boards as this process can bear; the snapshot can be asked for instead."""

    code = "board-full"
    title = "实时叫号屏连接已满，请稍后再试"
