"""What people were told, over which way, and what they had allowed us to send."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields
from tortoise.fields import OnDelete
from tortoise.indexes import PartialIndex
from tortoise.migrations.constraints import CheckConstraint

from models.base import Model, Record
from models.identity import Resident


class MessageState(StrEnum):
    """Where a message is. It stands in the inbox from the first moment; this is about the ways outside."""

    PENDING = "pending"
    """Waits for its turn, or for the next attempt."""
    LEASED = "leased"
    """A worker is sending it; if the worker dies, the lease runs out and the message is pending again."""
    SENT = "sent"
    """A partner accepted it."""
    INBOX = "inbox"
    """No way outside was open or worked: the inbox is where it was delivered."""
    DEAD = "dead"
    """It broke the workers that tried to send it. An operator looks at it and may have it sent again."""


class ChannelName(StrEnum):
    """The ways to a resident, in the order in which they are tried."""

    MINI_PROGRAM = "mini_program"
    OFFICIAL_ACCOUNT = "official_account"
    SMS = "sms"
    INBOX = "inbox"


class Outcome(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    """The partner took the message."""
    RETRY = "retry"
    """Nothing is wrong with the message; the same way again after a pause."""
    UNCERTAIN = "uncertain"
    """No usable answer came: it may have arrived. The same way again after a pause, unless a receipt comes first."""
    REFUSED = "refused"
    """This way will never carry this message; the next way."""
    EXHAUSTED = "exhausted"
    """This way was tried as often as the schedule allows; the next way."""
    SKIPPED = "skipped"
    """Not tried: no consent, no address, or the way is switched off."""
    POSTPONED = "postponed"
    """Not tried: the partner's quota is spent and we leave it alone for a while."""
    LATE = "late"
    """The answer came after the lease had run out, when another worker had the message already."""


class Message(Record):
    """One thing that one person is told because of one event. The row itself is the entry in the inbox."""

    resident: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="messages", on_delete=OnDelete.RESTRICT
    )
    event_id = fields.UUIDField()
    """The event in the ledger that is the reason; its id also gives the order in which messages go out."""
    name = fields.CharField(max_length=48)
    """Which template: `case_accepted` is notifications/templates/case_accepted.toml."""
    subject_kind = fields.CharField(max_length=32)
    subject_id = fields.UUIDField()
    """What the event was about."""
    happened_at = fields.DatetimeField()
    context = fields.TextField()
    """The values of the template's placeholders as JSON. Never an id number, a phone number or a reason."""
    title = fields.CharField(max_length=64)
    body = fields.CharField(max_length=512)
    state = fields.CharEnumField(MessageState, max_length=8, default=MessageState.PENDING)
    waiting = fields.BooleanField(default=True)
    """Whether it is still to go out: pending or leased. A column of its own because an index hangs on it."""
    channel = fields.CharEnumField(ChannelName, max_length=16, default=ChannelName.MINI_PROGRAM)
    """The way to try next, and in the end the one that carried it."""
    tries = fields.SmallIntField(default=0)
    """Failed attempts on the present way."""
    attempts = fields.IntField(default=0)
    """Attempts ever made: the number of the last one is the fence that refuses late marks."""
    unanswered = fields.SmallIntField(default=0)
    """Attempts in a row whose worker never came back."""
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


class Telling(Model):
    """What became of an event that people are told of: how many messages it led to, or why to none. Written with them,
    so that a message which is missing later is known to be missing."""

    event_id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    messages = fields.SmallIntField()
    forgotten = fields.SmallIntField(default=0)
    """How many of them were erased with the person whom they told."""
    why = fields.CharField(max_length=64, default="")
    """Why nobody was told; empty when somebody was."""

    class Meta:
        table = "tellings"
        constraints = (
            CheckConstraint("messages >= 0 AND (messages = 0) = (why <> '')", name="telling_to_nobody_has_a_reason"),
            CheckConstraint("forgotten BETWEEN 0 AND messages", name="telling_forgets_what_it_told"),
        )


class MessageQueue(Model):
    """The turn of one resident: only who holds the lease may send, so WeChat never gets two at once (43108)."""

    resident: fields.OneToOneRelation[Resident] = fields.OneToOneField(
        "models.Resident", primary_key=True, on_delete=OnDelete.RESTRICT, related_name="message_queue"
    )
    fence = fields.BigIntField(default=0)
    """Grows with every lease; who comes back with an old one is refused."""
    leased_until = fields.DatetimeField(null=True)

    class Meta:
        table = "message_queues"


class MessageAttempt(Model):
    """One attempt to bring a message over one way: the proof that it was made, and what the partner said."""

    id = fields.BigIntField(primary_key=True, generated=True)
    message: fields.ForeignKeyRelation[Message] = fields.ForeignKeyField(
        "models.Message", related_name="history", on_delete=OnDelete.RESTRICT
    )
    n = fields.IntField()
    channel = fields.CharEnumField(ChannelName, max_length=16)
    started_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)
    outcome = fields.CharEnumField(Outcome, max_length=16, null=True)
    """Empty while the call runs, and for ever when the worker died in it."""
    code = fields.CharField(max_length=64, default="")
    """The partner's own code, or our word for why the way was skipped."""
    partner_id = fields.CharField(max_length=64, default="")
    """The partner's id of the message, by which its receipts find us."""
    receipt = fields.CharField(max_length=64, default="")
    """What the partner reported later: `success` or its own word for the failure."""
    received_at = fields.DatetimeField(null=True)

    class Meta:
        table = "message_attempts"
        unique_together = (("message", "n"),)
        indexes = (("partner_id",),)


class ChannelPause(Model):
    """A way that is left alone until a moment, because its partner's quota is spent."""

    channel = fields.CharEnumField(ChannelName, max_length=16, primary_key=True)
    until = fields.DatetimeField()
    code = fields.CharField(max_length=64)

    class Meta:
        table = "channel_pauses"


class ConsentKind(StrEnum):
    """What one yes is worth."""

    ONE_OFF = "one-off"
    """One accepted popup allows one message."""
    LONG_TERM = "long-term"
    """One accepted popup allows messages until it is taken back."""


class ConsentAnswer(StrEnum):
    """What happened to a consent."""

    ACCEPT = "accept"
    REJECT = "reject"
    BAN = "ban"
    """WeChat has switched the template off."""
    FILTER = "filter"
    """WeChat left the template out of the popup; the resident was not asked."""
    USED = "used"
    """A message went out on it."""
    LOST = "lost"
    """WeChat says that there is none (43101)."""


class ConsentSource(StrEnum):
    """Who told us."""

    FRONT_END = "front-end"
    """The result of wx.requestSubscribeMessage, brought by the mini-program."""
    POPUP = "popup"
    """WeChat's `subscribe_msg_popup_event`."""
    CHANGE = "change"
    """WeChat's `subscribe_msg_change_event`: the resident changed the settings."""
    SEND = "send"
    """What sending a message taught us."""


class ConsentChange(Record):
    """One line of the consent ledger. Lines are only ever added."""

    resident: fields.ForeignKeyRelation[Resident] = fields.ForeignKeyField(
        "models.Resident", related_name="consent_changes", on_delete=OnDelete.RESTRICT
    )
    template_id = fields.CharField(max_length=64)
    """WeChat's id of the template: the popup asks for that, whatever messages we send with it."""
    kind = fields.CharEnumField(ConsentKind, max_length=16)
    answer = fields.CharEnumField(ConsentAnswer, max_length=8)
    source = fields.CharEnumField(ConsentSource, max_length=16)
    source_id = fields.CharField(max_length=200, unique=True)
    """The same for every repeat of one report, so that a repeat does not count."""
    delta = fields.IntField()
    """What it did to the count of a one-off consent."""
    happened_at = fields.DatetimeField()
    pairs_with = fields.UUIDField(null=True, unique=True)
    """The line by which the other source had told us of the same popup already; then this one changes nothing."""

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
    """WeChat has switched the template off; the next yes ends it."""
    accepted_at = fields.DatetimeField(null=True)
    withdrawn_at = fields.DatetimeField(null=True)
    """When consent was last taken back or found missing: a yes from before that does not count any more."""
    changed_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "consent_balances"
        unique_together = (("resident", "template_id"),)
        constraints = (CheckConstraint("remaining >= 0", name="consent_never_overdrawn"),)
