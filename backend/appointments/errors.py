"""What can go wrong with an appointment, named after what happened."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound, Refused, TooMany, Unavailable


class ServiceLineNotFound(NotFound):
    """No hall has this line, or it is not yours."""

    title = "没有找到该业务类别"


class SlotNotFound(NotFound):
    """There is no such slot."""

    title = "没有找到该时段"


class AppointmentNotFound(NotFound):
    """There is no such appointment, or it is another person's."""

    title = "没有找到该预约"


class TicketNotFound(NotFound):
    """There is no such queue number in this hall."""

    title = "没有找到该排队号"


class SlotFull(Conflict):
    """Every place in the slot is taken."""

    title = "该时段已约满"


class SlotClosed(Conflict):
    """The hall has closed the slot."""

    title = "该时段已停止预约"


class SlotExpired(Conflict):
    """The slot has begun or is over."""

    title = "该时段已开始或已结束"


class SlotNotReleased(Conflict):
    """Places of this day are not given out yet."""

    title = "该日号源尚未放出"


class SlotAllocatedByDraw(Conflict):
    """Places of this day are given by a draw: enter it instead of booking."""

    title = "该日号源通过摇号产生，请报名摇号"


class ItemNotHandled(Invalid):
    """The line does not handle this item."""

    title = "该业务类别不受理此事项"


class AlreadyBooked(Conflict):
    """The person has an active appointment for this item on this day."""

    title = "当天已有同一事项的预约"


class AppointmentLimitExceeded(Conflict):
    """The person has as many active appointments as the line allows."""

    title = "有效预约数已达上限"


class OtherLine(Conflict):
    """An appointment moves only within its line; for another one it is booked anew."""

    title = "只能改约到同一业务类别的其他时段"


class WaitingEntryNotFound(NotFound):
    """There is no such entry in a waiting list, or it is another person's."""

    title = "没有找到该候补记录"


class DrawNotFound(NotFound):
    """There is no draw for this line and day."""

    title = "该日没有摇号"


class AlreadyWaiting(Conflict):
    """The person waits for a place on this day already."""

    title = "已在该日的候补名单中"


class AlreadyEntered(Conflict):
    """The person takes part in this draw already."""

    title = "已报名该日的摇号"


class PlacesLeft(Conflict):
    """The day still has places: there is no need to wait."""

    title = "该日尚有号源，请直接预约"


class BookingBlocked(Refused):
    """Missed or late-cancelled too often; facts say until when."""

    title = "因多次爽约，暂停网上预约，可申诉"


class HoldExpired(Conflict):
    """The place was held too long ago; it has been given back."""

    title = "预留时间已过，请重新选择时段"


class AppointmentTransitionRefused(Conflict):
    """This cannot be done in the present state."""

    title = "当前状态下不能进行此操作"


class TooLateToChange(Conflict):
    """The visit is too near to be changed."""

    title = "距办理时间过近，不能改约"


class PersonNotFound(NotFound):
    """You may not act for this person."""

    title = "没有找到被代办人"


class CapacityTaken(Conflict):
    """Capacity cannot go below what is taken."""

    title = "已被约走的号源不能减少"


class WalkInsFull(Conflict):
    """No place is left for people without an appointment."""

    title = "现场号已发完"


class CheckInRefused(Refused):
    """The check-in code is forged, used, too old, or for another hall or day: the answer does not reveal which."""

    title = "签到码无效，请在手机上刷新后重试"


class TooEarlyToCheckIn(Conflict):
    """Check-in has not begun for this visit."""

    title = "未到签到时间"


class QueueEmpty(Conflict):
    """No number waits for the lines of this window."""

    title = "当前没有排队人员"


class BookingRushLimitExceeded(TooMany):
    """More people ask at this moment than can be let in."""

    title = "当前人数过多，请稍后再试"


class DrawClosed(Conflict):
    """The draw does not take entries now."""

    title = "摇号报名尚未开始或已结束"


class StrikeNotFound(NotFound):
    """There is no such strike, or it is another person's."""

    title = "没有找到该爽约记录"


class LineExists(Conflict):
    """The hall has a line with this letter already."""

    title = "该大厅已有相同代号的业务类别"


class ItemOnOtherLine(Conflict):
    """In one hall an item belongs to one line, and another line of the hall has it."""

    title = "该事项已归入本大厅的其他业务类别"


class ServiceLineInvalid(Invalid):
    """What was said about a line, its items, hours or windows cannot be."""

    title = "业务类别设置有误"


class SlotRangeInvalid(Invalid):
    """The range of days is empty, over, or too long."""

    title = "日期范围有误"


class SlotOpen(Conflict):
    """The slot is not closed, so it cannot be reopened."""

    title = "该时段未停止预约"


class StrikeAlreadyAppealed(Conflict):
    """An appeal has been made, or the strike has been decided on."""

    title = "该爽约记录已申诉或已处理"


class StrikeAppealNotPending(Conflict):
    """The strike was decided on already, or there is no appeal that could be turned down."""

    title = "该爽约记录没有待处理的申诉"


class OwnStrikeDecisionRefused(Refused):
    """The member of staff who marked the visit as missed may not decide on the appeal."""

    title = "申诉须由登记爽约的工作人员以外的人处理"


class TooLateToCheckIn(Conflict):
    """The slot is over; staff may still check the person in on the same day."""

    title = "已过签到时间，请到服务台办理"


class KioskAttemptLimitExceeded(TooMany):
    """Too many tries with this phone number, or at this kiosk."""

    title = "尝试次数过多，请到服务台办理"


class WindowNotFound(NotFound):
    """There is no such window, or it is in another hall."""

    title = "没有找到该窗口"


class WindowShut(Conflict):
    """The window is shut and calls no numbers."""

    title = "该窗口未开放"


class WindowBusy(Conflict):
    """The window has called a number that is neither served nor missed."""

    title = "请先办结或过号当前号码"


class BoardFull(Unavailable):
    """As many follow live boards as this process can bear; the snapshot can be asked for instead."""

    title = "实时叫号屏连接已满，请稍后再试"
