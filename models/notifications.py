"""Messages to residents, the attempts to deliver them, and the consents that allow them."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.indexes import PartialIndex
from tortoise.migrations.constraints import CheckConstraint

from models.base import Model, Record
from models.identity import Resident


class MessageState(StrEnum):
    """Where a message is. It stands in the inbox from the first moment; the state is about the other channels."""

    PENDING = "pending"
    """Waits for a worker, or for the next attempt."""
    LEASED = "leased"
    """A worker is sending it; if the worker dies, the lease runs out and the message is pending again."""
    SENT = "sent"
    """A partner accepted it."""
    INBOX = "inbox"
    """No other channel was open or worked: the message was delivered to the inbox."""
    DEAD = "dead"
    """Quarantined: workers died on it. An operator examines it and may requeue it."""


class ChannelName(StrEnum):
    """The channels to a resident, in the order in which they are tried."""

    MINI_PROGRAM = "mini_program"
    OFFICIAL_ACCOUNT = "official_account"
    SMS = "sms"
    INBOX = "inbox"


class Outcome(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    """The partner took the message."""
    RETRY = "retry"
    """The message is fine; the same channel again after a pause."""
    UNCERTAIN = "uncertain"
    """No usable answer came: it may have arrived. The channel is tried again after a pause, unless a receipt comes."""
    REFUSED = "refused"
    """This channel will never carry this message; the next channel."""
    EXHAUSTED = "exhausted"
    """This channel was tried as often as the schedule allows; the next channel."""
    SKIPPED = "skipped"
    """Not tried: no consent, no address, or the channel is switched off."""
    POSTPONED = "postponed"
    """Not tried: the partner's quota is spent and the channel is paused."""
    LATE = "late"
    """The answer came after the lease had run out, when another worker had the message already."""


class Message(Record):
    """One message to one resident because of one event. The row itself is the entry in the inbox."""

    resident: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="messages", on_delete=OnDelete.RESTRICT
    )
    event_id = fields.UUIDField()
    """The event in the ledger that caused it; its id also gives the order in which messages go out."""
    name = fields.CharField(max_length=48)
    """Which template: `case_accepted` is notifications/templates/case_accepted.toml."""
    subject_kind = fields.CharField(max_length=32)
    subject_id = fields.UUIDField()
    """The subject of the event."""
    happened_at = fields.DatetimeField()
    context = fields.TextField()
    """The values of the template's placeholders as JSON. Never an id number, a phone number or a reason."""
    title = fields.CharField(max_length=64)
    body = fields.CharField(max_length=512)
    state = fields.CharEnumField(MessageState, max_length=8, default=MessageState.PENDING)
    waiting = fields.BooleanField(default=True)
    """Whether it is still to go out: pending or leased. A column of its own because an index depends on it."""
    channel = fields.CharEnumField(ChannelName, max_length=16, default=ChannelName.MINI_PROGRAM)
    """The channel to try next, and in the end the one that carried it."""
    tries = fields.SmallIntField(default=0)
    """Failed attempts on the present channel."""
    attempts = fields.IntField(default=0)
    """Attempts ever made: the number of the last one is the fence that refuses stale results."""
    unanswered = fields.SmallIntField(default=0)
    """Attempts in a row whose worker recorded no result."""
    due_at = fields.DatetimeField(auto_now_add=True)
    finished_at = fields.DatetimeField(null=True)
    read_at = fields.DatetimeField(null=True)

    class Meta:
        table = "messages"
        unique_together = (("event_id", "resident", "name"),)
        indexes = (
            ("resident_id", "id"),
            ("subject_kind", "subject_id"),
            PartialIndex(fields=("resident_id", "event_id"), name="messages_queue", condition={"waiting": True}),
            PartialIndex(fields=("due_at",), name="messages_due", condition={"waiting": True}),
            PartialIndex(fields=("id",), name="messages_dead", condition={"state": "dead"}),
        )
        constraints = (
            CheckConstraint("waiting = (state IN ('pending', 'leased'))", name="message_waits_while_it_is_open"),
            CheckConstraint("waiting OR finished_at IS NOT NULL", name="message_end_has_a_time"),
            CheckConstraint("tries >= 0 AND attempts >= 0 AND unanswered >= 0", name="message_counts_from_zero"),
        )


class NotificationOutcome(Model):
    """How many messages an event led to, or the reason for none. Written in the transaction that writes them, so that a
    message which is missing later is known to be missing."""

    event_id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    messages = fields.SmallIntField()
    erased = fields.SmallIntField(default=0)
    """How many of them were erased with the resident who received them."""
    reason = fields.CharField(max_length=64, default="")
    """Why there are no messages; empty when there are."""

    class Meta:
        table = "notification_outcomes"
        constraints = (
            CheckConstraint(
                "messages >= 0 AND (messages = 0) = (reason <> '')", name="notification_outcome_has_a_reason"
            ),
            CheckConstraint("erased BETWEEN 0 AND messages", name="notification_outcome_erases_what_it_counted"),
        )


class MessageQueue(Model):
    """The queue of one resident: only the worker that leases it sends, so WeChat never gets two at once (43108)."""

    resident: fields.OneToOneRelation[Resident] = fields.OneToOneField(
        "models.Resident", primary_key=True, on_delete=OnDelete.RESTRICT, related_name="message_queue"
    )
    fence = fields.BigIntField(default=0)
    """Grows with every lease; a result with an old fence is refused."""
    leased_until = fields.DatetimeField(null=True)

    class Meta:
        table = "message_queues"


class MessageAttempt(Model):
    """One attempt to deliver a message over one channel: the proof that it was made, and the partner's answer."""

    id = fields.BigIntField(primary_key=True, generated=True)
    message: fields.ForeignKeyRelation[Message] = fields.ForeignKeyField(
        "models.Message", related_name="history", on_delete=OnDelete.RESTRICT
    )
    n = fields.IntField()
    channel = fields.CharEnumField(ChannelName, max_length=16)
    started_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)
    outcome = fields.CharEnumField(Outcome, max_length=16, null=True)
    """Null while the call runs, and for ever when the worker died in it."""
    code = fields.CharField(max_length=64, default="")
    """The partner's own code, or our word for why the channel was skipped."""
    partner_id = fields.CharField(max_length=64, default="")
    """The partner's id of the message, by which its receipts find the attempt."""
    receipt = fields.CharField(max_length=64, default="")
    """The status that the partner reported later: `success` or its own word for the failure."""
    received_at = fields.DatetimeField(null=True)

    class Meta:
        table = "message_attempts"
        unique_together = (("message", "n"),)
        indexes = (("partner_id",),)


class ChannelPause(Model):
    """A channel that is paused until a moment, because its partner's quota is spent."""

    channel = fields.CharEnumField(ChannelName, max_length=16, primary_key=True)
    until = fields.DatetimeField()
    code = fields.CharField(max_length=64)

    class Meta:
        table = "channel_pauses"


class ConsentKind(StrEnum):
    """What one accepted popup is worth."""

    ONE_OFF = "one-off"
    """One accepted popup allows one message."""
    LONG_TERM = "long-term"
    """One accepted popup allows messages until the consent is withdrawn."""


class ConsentAnswer(StrEnum):
    """A change of a consent."""

    ACCEPT = "accept"
    REJECT = "reject"
    BAN = "ban"
    """WeChat has switched the template off."""
    FILTER = "filter"
    """WeChat left the template out of the popup; the resident did not see it."""
    USED = "used"
    """A message used it."""
    LOST = "lost"
    """WeChat reports that there is none (43101)."""


class ConsentSource(StrEnum):
    """Where a change was reported."""

    FRONT_END = "front-end"
    """The result of wx.requestSubscribeMessage, reported by the mini-program."""
    POPUP = "popup"
    """WeChat's `subscribe_msg_popup_event`."""
    CHANGE = "change"
    """WeChat's `subscribe_msg_change_event`: the resident changed the settings."""
    SEND = "send"
    """WeChat's answer to a message that was sent."""


class ConsentChange(Record):
    """One line of the consent ledger. Lines are only ever added."""

    resident: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="consent_changes", on_delete=OnDelete.RESTRICT
    )
    template_id = fields.CharField(max_length=64)
    """WeChat's id of the template: the popup requests it, whichever messages are sent with it."""
    kind = fields.CharEnumField(ConsentKind, max_length=16)
    answer = fields.CharEnumField(ConsentAnswer, max_length=8)
    source = fields.CharEnumField(ConsentSource, max_length=16)
    source_id = fields.CharField(max_length=200, unique=True)
    """The same for every repeat of one report, so that a repeat does not count."""
    delta = fields.IntField()
    """What it did to the count of a one-off consent."""
    happened_at = fields.DatetimeField()
    pairs_with = fields.UUIDField(null=True, unique=True)
    """The line by which the other source had reported the same popup already; then this one changes nothing."""

    class Meta:
        table = "consent_changes"
        indexes = (("resident_id", "template_id", "happened_at"),)
        constraints = (CheckConstraint("pairs_with IS NULL OR delta = 0", name="consent_popup_counts_once"),)


class ConsentBalance(Model):
    """What a resident allows for a template now: the sum of the ledger, kept under the lock of this row."""

    id = fields.BigIntField(primary_key=True, generated=True)
    resident: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="consents", on_delete=OnDelete.RESTRICT
    )
    template_id = fields.CharField(max_length=64)
    kind = fields.CharEnumField(ConsentKind, max_length=16)
    remaining = fields.IntField(default=0)
    """Messages that one-off consents still allow."""
    standing = fields.BooleanField(default=False)
    """Whether a long-term consent is in force."""
    banned = fields.BooleanField(default=False)
    """WeChat has switched the template off; the next accepted popup ends it."""
    accepted_at = fields.DatetimeField(null=True)
    withdrawn_at = fields.DatetimeField(null=True)
    """When consent was last withdrawn or found missing: an acceptance from before that does not count any more."""
    changed_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "consent_balances"
        unique_together = (("resident", "template_id"),)
        constraints = (CheckConstraint("remaining >= 0", name="consent_never_overdrawn"),)
