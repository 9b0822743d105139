"""Which event in one domain moves another: the whole table."""

from __future__ import annotations

from typing import Any

from backend.calendar import CalendarChanged
from backend.callbacks import WechatPushed
from backend.cases import deliveries as case_deliveries
from backend.cases.events import CaseCaughtUp, CaseLinked, CaseOpened, CaseProgressed, CaseUnlinked
from backend.cases.fees import follow_progress, hand_over_on_link, hand_over_on_unlink, raise_on_opening
from backend.cases.linking import link_on_phone
from backend.cases.recounting import recount_on_calendar
from backend.deliveries.callbacks import apply_courier_push
from backend.deliveries.events import CourierPushed
from backend.deliveries.postage import proceed_when_settled
from backend.deliveries.tracing import apply_wechat_push
from backend.events import Event, Handler, subscribe
from backend.identity.events import PhoneConfirmed
from backend.payments import issue_on_success, void_on_refund
from backend.payments.events import FeePaid, FeeWaived, PaymentSucceeded, RefundSucceeded

REACTIONS: list[tuple[type[Event], str, Handler]] = [
    (PhoneConfirmed, "cases.link-on-phone", link_on_phone),
    (CalendarChanged, "cases.recount-due-dates", recount_on_calendar),
    (CourierPushed, "deliveries.handle-courier-push", apply_courier_push),
    (WechatPushed, "deliveries.handle-wechat-push", apply_wechat_push),
    (FeePaid, "deliveries.follow-postage", proceed_when_settled),
    (FeeWaived, "deliveries.follow-postage", proceed_when_settled),
    (CaseProgressed, "deliveries.follow-case", case_deliveries.follow_progress),
    (CaseCaughtUp, "deliveries.follow-case", case_deliveries.follow_progress),
    (CaseUnlinked, "deliveries.follow-unlinking", case_deliveries.follow_unlinking),
    (CaseOpened, "fees.raise-on-opening", raise_on_opening),
    (CaseProgressed, "fees.follow-case", follow_progress),
    (CaseLinked, "fees.hand-over-on-link", hand_over_on_link),
    (CaseUnlinked, "fees.hand-over-on-unlink", hand_over_on_unlink),
    (PaymentSucceeded, "receipts.issue", issue_on_success),
    (RefundSucceeded, "receipts.void", void_on_refund),
]
"""Event class, the subscriber's stable name, the function that handles it. A name is never used for anything else."""


def wire() -> None:
    """Subscribe every function of the table. Safe to call again."""
    kind: type[Any]
    for kind, name, handle in REACTIONS:
        subscribe(kind, name, handle)
