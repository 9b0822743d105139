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
from backend.deliveries.events import CourierPushed
from backend.deliveries.hearing import hear_courier
from backend.deliveries.postage import hear_settled
from backend.deliveries.tracing import hear_wechat
from backend.events import Event, Subscriber, listen
from backend.identity.events import PhoneConfirmed
from backend.payments.events import FeePaid, FeeWaived, PaymentSucceeded, RefundSucceeded
from backend.payments.receipts import issue_on_success, void_on_refund

REACTIONS: list[tuple[type[Event], Subscriber]] = [
    (PhoneConfirmed, link_on_phone),
    (CalendarChanged, recount_on_calendar),
    (CourierPushed, hear_courier),
    (WechatPushed, hear_wechat),
    (FeePaid, hear_settled),
    (FeeWaived, hear_settled),
    (CaseProgressed, case_deliveries.follow_progress),
    (CaseCaughtUp, case_deliveries.follow_progress),
    (CaseUnlinked, case_deliveries.follow_unlinking),
    (CaseOpened, raise_on_opening),
    (CaseProgressed, follow_progress),
    (CaseLinked, hand_over_on_link),
    (CaseUnlinked, hand_over_on_unlink),
    (PaymentSucceeded, issue_on_success),
    (RefundSucceeded, void_on_refund),
]


def wire() -> None:
    """Have every subscriber of the table hear its events."""
    kind: type[Any]
    for kind, subscriber in REACTIONS:
        listen(kind, subscriber)
