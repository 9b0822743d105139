"""Which event notifies whom: the whole table. An event without a message states the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from backend import calendar, callbacks
from backend.catalogue import events as catalogue
from backend.database import execute
from backend.events import Event, EventMeta, name_of, subscribe
from notifications import events as own
from notifications import outbox, sms_receipts, wechat_events
from notifications.inbox import write_message
from notifications.rules import appointments, cases, deliveries, identity, payments
from notifications.rules.types import FOR_OPERATORS, NoNotification, Notification, Notify, Rule

__all__ = ["RULES", "NoNotification", "Notification", "Notify", "notify", "wire"]

_CATALOGUE = NoNotification("the catalogue is looked up, not announced")

RULES: Mapping[type[Event], Rule] = {
    **cases.RULES,
    **identity.RULES,
    **appointments.RULES,
    **payments.RULES,
    **deliveries.RULES,
    catalogue.ItemDrafted: _CATALOGUE,
    catalogue.ItemEdited: _CATALOGUE,
    catalogue.ItemPublished: _CATALOGUE,
    catalogue.ItemWithdrawn: _CATALOGUE,
    calendar.CalendarChanged: NoNotification("due dates are shown as they are now; the case explains them"),
    callbacks.WechatPushed: NoNotification("handled by notifications/wechat_events.py: news for us, not the resident"),
    callbacks.SmsPushed: NoNotification("handled by notifications/sms_receipts.py: news for us, not the resident"),
    own.MessageRequeued: FOR_OPERATORS,
}

_REASON_NOT_STATED = "the rule chose no recipient"
_WRITE_OUTCOME = """
INSERT INTO notification_outcomes (event_id, at, messages, erased, reason) VALUES ($1, now(), $2, 0, $3)
ON CONFLICT (event_id) DO NOTHING
"""


async def notify(event: Event, meta: EventMeta) -> None:
    """Write the messages of an event: each one once per event, resident and template, however often this runs."""
    rule = RULES[type(event)]
    if not isinstance(rule, Notify):
        return
    notifications = await rule.decide(event, meta)
    for each in sorted(notifications, key=lambda each: (each.resident_id, each.name)):
        await write_message(event, meta, each.resident_id, each.name, each.context)
    await _write_outcome(meta.id, notifications)


async def _write_outcome(event_id: UUID, notifications: Sequence[Notification]) -> None:
    """Store how many messages an event led to, or the reason for none; in the transaction that writes them."""
    count = len({(each.resident_id, each.name) for each in notifications})
    reason = "" if count else getattr(notifications, "reason", _REASON_NOT_STATED)
    await execute(_WRITE_OUTCOME, event_id, count, reason)


def wire() -> None:
    """Subscribe to every event that may lead to messages, and to the partners' pushes. Safe to call again."""
    kind: type[Any]
    for kind, rule in RULES.items():
        if isinstance(rule, Notify):
            subscribe(kind, outbox.SUBSCRIBER, notify)
            outbox.NOTIFYING_EVENTS.add(name_of(kind))
    wechat_events.wire()
    sms_receipts.wire()
