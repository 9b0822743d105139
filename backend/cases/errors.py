"""What can go wrong with cases, named after what happened."""

from __future__ import annotations

from backend.errors import Conflict, Invalid, NotFound


class CaseNotFound(NotFound):
    """There is no such case, or it is another person's."""

    title = "没有找到该办件"


class CaseLookupFailed(NotFound):
    """The number and the last four characters do not belong together; which of them is wrong is not said."""

    title = "没有找到相符的办件，请核对办件编号和证件号码后四位"


class CaseInvalid(Invalid):
    """What was reported about the case cannot be."""

    title = "办件信息有误"


class CaseNumberTaken(Conflict):
    """Another agency has a case with this number."""

    title = "该办件编号已被使用"


class CaseReferenceReused(Conflict):
    """The agency used its own reference for another case already."""

    title = "同一业务流水号已用于内容不同的办件"


class CaseItemFixed(Conflict):
    """A case keeps its item: the number and the limit follow from it."""

    title = "办件的事项不能更改"


class CaseNotChargeable(Conflict):
    """Only for what is accepted and not at its end may a fee be raised."""

    title = "办件未受理或已办结，不能登记收费"


class EventIdReused(Conflict):
    """The agency reported something else under this event id already."""

    title = "同一事件编号已用于内容不同的事件"


class CaseNumbersUsedUp(Conflict):
    """The item has had as many cases today as the number has places for. Nothing was created."""

    title = "该事项当日办件编号已用完，请联系平台管理员"


class CaseEventsFull(Conflict):
    """The case has more events than any real one; the reporting system is probably repeating itself."""

    title = "该办件的事件数量超出上限，请检查推送程序"
