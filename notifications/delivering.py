"""Delivering messages: one resident after the other, channel after channel, until a partner took it or the inbox holds
it.

The messages themselves are the queue: every worker looks for what is due (`dispatch`) and delivers it, to so many
residents at once. No job has to be written, kept or found again for it, and nothing is lost with one.

What a partner's error means is its `remedy`: a refusal goes to the next channel at once; what may pass is tried again
on the same channel after the delays of `notification_retry_seconds`, then on the next one; a spent quota pauses the
channel for a while, so that a burst of messages does not call a partner who answered "tomorrow" ten thousand times. The
inbox entry exists from the beginning: nothing that happens here can lose a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import Counter, Histogram

from backend import clock, jobs
from backend.backoff import retry_delay
from backend.database import may_pass
from backend.partners import in_use
from backend.partners.errors import PartnerError, PartnerUnreachable, Remedy
from backend.partners.wechat.port import WechatNotSubscribed
from backend.settings import settings
from models.notifications import ChannelName, ConsentAnswer, ConsentSource, MessageState, Outcome
from notifications import channels, consent, outbox, proof, recording
from notifications.channels import PreparedMessage, Skipped
from notifications.consent import Report
from notifications.outbox import LeasedMessage
from notifications.recording import Recorded, Result

log = logging.getLogger(__name__)

PER_LEASE = 20
"""Messages that are delivered to one resident before others come first."""
LONGEST_WAIT = 600.0
"""Seconds; when a partner puts a message off for longer, the next channel is taken."""
KNOWN = 8
"""For how many rounds of residents a worker looks ahead; other workers may take them first."""
LONGEST_REST = 1.0
"""Seconds; what is to be tried later than that stands in the table with its time."""

ATTEMPTS = Counter("zhangban_messages_attempts_total", "Attempts to deliver a message", ["channel", "outcome"])
STALE_RESULTS = Counter(
    "zhangban_messages_stale_results_total", "Results that were refused because another worker had leased the queue"
)
LAG = Histogram(
    "zhangban_messages_lag_seconds", "From the event to the end of its message", ["state"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
)  # fmt: skip

CRON: list[tuple[str, str]] = [("* * * * *", "notifications.sweep")]
"""What notifications do by the clock; a worker runs it with the table of backend/schedule.py."""


async def dispatch(stop: asyncio.Event) -> None:
    """Deliver what is due, to `job_concurrency` residents at once, until `stop` is set; then end what is in flight."""
    at_once, pause = settings().job_concurrency, settings().job_poll_seconds
    running: dict[asyncio.Task[float | None], UUID] = {}
    resting: dict[UUID, float] = {}
    due: list[UUID] = []
    try:
        while not stop.is_set():
            if not due and len(running) < at_once:
                resting = {each: until for each, until in resting.items() if until > clock.monotonic()}
                due = await outbox.list_due_residents(0.0, at_once * KNOWN, but={*running.values(), *resting})
                random.shuffle(due)  # other workers look at the same residents
            while due and len(running) < at_once:
                resident_id = due.pop()
                running[asyncio.create_task(deliver(resident_id))] = resident_id
            if not running:
                await _either(stop, pause)
                continue
            # A slow call delays neither other residents while there is room, nor this worker when it is to stop.
            done, _ = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                resident_id = running.pop(task)
                if rest := _rest_after(task, resident_id):
                    resting[resident_id] = clock.monotonic() + rest
    finally:
        await asyncio.gather(*running, return_exceptions=True)
        for task, resident_id in running.items():
            _rest_after(task, resident_id)  # logs its error


async def _either(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _rest_after(task: asyncio.Task[float | None], resident_id: UUID) -> float:
    """For how many seconds to leave this resident out: another worker holds the lease, or it cannot go on yet."""
    facts = {"event": "message.delivery-failed", "resident_id": str(resident_id)}
    if task.cancelled():  # not by this loop; a worker must not end with it
        log.error("delivering messages was cancelled", extra=facts)
        return LONGEST_REST
    if error := task.exception():
        log.error("delivering messages failed", exc_info=error, extra=facts)
        return LONGEST_REST
    return min(task.result() or 0.0, LONGEST_REST)


async def deliver_due(at_once: int = 1) -> list[float]:
    """Deliver what is due now, once for every resident; the seconds that the others have to wait."""
    gate, waits = asyncio.Semaphore(at_once), list[float]()
    seen: set[UUID] = set()

    async def one(resident_id: UUID) -> None:
        async with gate:
            while (wait := await deliver(resident_id)) == 0.0:
                continue
            if wait is not None:
                waits.append(wait)

    while batch := [each for each in await outbox.list_due_residents(0.0) if each not in seen]:
        seen.update(batch)
        await asyncio.gather(*map(one, batch))
    return waits


jobs.also_drains(deliver_due)


async def deliver(resident_id: UUID) -> float | None:
    """Send the messages that are due for this resident, in the order of their events.

    Returns the seconds after which to come back: because one is to be tried again, or because another worker holds the
    lease. None when nothing is left.
    """
    fence: int | None = None
    for _ in range(PER_LEASE):
        lease = await outbox.lease_next(resident_id, fence)
        if lease.message is None:
            if lease.retry:
                fence = lease.fence
                continue
            if lease.fence is not None:
                await outbox.release(resident_id, lease.fence)
            return lease.wait
        fence = lease.message.fence
        result, recorded = await _attempt(lease.message)
        if not recorded.more:
            return result.delay if recorded.accepted and result.state is MessageState.PENDING else None
    await outbox.release(resident_id, fence or 0)
    return 0.0


async def _attempt(leased: LeasedMessage) -> tuple[Result, Recorded]:
    """One attempt on the first channel that is open, and the record of its result."""
    skipped: list[tuple[ChannelName, str]] = []
    prepared: PreparedMessage | None = None
    channel = ChannelName.INBOX
    for channel in channels.channels_from(leased.channel):
        if channel is ChannelName.INBOX:
            break
        found = await _prepare(channel, leased)
        if isinstance(found, PreparedMessage):
            prepared = found
            break
        skipped.append((channel, found.code))
    message = await outbox.skip_channels(leased, skipped, channel) if skipped else leased
    if message is None:
        STALE_RESULTS.inc()
        return Result(MessageState.PENDING, channel, 0, 0, Outcome.SKIPPED), Recorded(False, False)
    result = await _send(channel, prepared, message)
    recorded = await recording.record_result(message, result)
    _count(message, channel, result, recorded)
    return result, recorded


async def _prepare(channel: ChannelName, message: LeasedMessage) -> PreparedMessage | Skipped:
    try:
        return await channels.prepare(channel, message, in_use())
    except Exception as error:
        if may_pass(error):
            raise  # the database is away: that is no fault of the channel
        facts = {"event": "message.preparation-failed", "template": message.name, "channel": str(channel)}
        log.exception("preparing a message failed", extra=facts)
        return Skipped(f"{proof.OUR_MISTAKE}:{type(error).__name__}")


async def _send(channel: ChannelName, prepared: PreparedMessage | None, message: LeasedMessage) -> Result:
    if prepared is None:
        return Result(MessageState.INBOX, ChannelName.INBOX, 0, 0, Outcome.ACCEPTED)
    if channel in message.paused:
        return _retry(channel, message, Outcome.POSTPONED, "quota-pause")
    begun = clock.now()
    try:
        # A call that outlives the lease would be repeated while it still runs.
        async with asyncio.timeout(settings().notification_lease_seconds * 0.8):
            partner_id = await prepared.send()
    except PartnerError as error:
        return await _result_of(error, channel, prepared, message, begun)
    except TimeoutError:
        return _retry(channel, message, Outcome.UNCERTAIN, "timeout")
    except Exception as error:
        facts = {"event": "message.channel-failed", "channel": str(channel), "template": message.name}
        log.exception("sending over a channel failed", extra=facts)
        return _fall_back(channel, Outcome.REFUSED, f"{proof.OUR_MISTAKE}:{type(error).__name__}")
    return Result(MessageState.SENT, channel, message.tries, 0, Outcome.ACCEPTED, "0", partner_id, prepared.spends)


async def _result_of(
    error: PartnerError, channel: ChannelName, prepared: PreparedMessage, message: LeasedMessage, begun: datetime
) -> Result:
    code = error.partner_code or error.code
    facts = {"channel": str(channel), "partner_code": code, "template": message.name}
    if isinstance(error, WechatNotSubscribed):
        await consent.record_reports(message.resident_id, [_lost(prepared.spends, message, begun)])
    if error.remedy in (Remedy.GIVE_UP, Remedy.CONFIGURE):
        level = logging.ERROR if error.remedy is Remedy.CONFIGURE else logging.INFO
        log.log(level, "the partner refused a message", extra={"event": "message.refused", **facts})
        return _fall_back(channel, Outcome.REFUSED, code)
    if error.remedy is Remedy.TOMORROW:
        await outbox.pause_channel(channel, settings().notification_quota_pause_seconds, code)
        log.warning("the partner's quota is spent, channel paused", extra={"event": "message.quota-spent", **facts})
    if (error.retry_after or 0.0) > LONGEST_WAIT:  # a day's texts to one phone, say: others would wait behind this
        return _fall_back(channel, Outcome.REFUSED, code)
    uncertain = isinstance(error, PartnerUnreachable) and error.maybe_done
    outcome = Outcome.UNCERTAIN if uncertain else Outcome.RETRY
    return _retry(channel, message, outcome, code, at_least=error.retry_after or 0.0)


def _lost(template_id: str, message: LeasedMessage, begun: datetime) -> Report:
    """WeChat reports what it knew when the call began: a consent that was given meanwhile stays."""
    source_id = f"send:{message.id}:{message.attempt}:lost"
    return Report(template_id, ConsentAnswer.LOST, ConsentSource.SEND, source_id, begun)


def _fall_back(channel: ChannelName, outcome: Outcome, code: str) -> Result:
    following = channels.next_channel(channel)
    state = MessageState.INBOX if following is ChannelName.INBOX else MessageState.PENDING
    return Result(state, following, 0, 0, outcome, code)


def _retry(
    channel: ChannelName, message: LeasedMessage, outcome: Outcome, code: str, *, at_least: float = 0.0
) -> Result:
    delay = retry_delay(settings().notification_retry_seconds, message.tries + 1)
    if delay is None:
        return _fall_back(channel, Outcome.EXHAUSTED, code)
    return Result(MessageState.PENDING, channel, message.tries + 1, max(delay, at_least), outcome, code)


def _count(message: LeasedMessage, channel: ChannelName, result: Result, recorded: Recorded) -> None:
    ATTEMPTS.labels(str(channel), str(result.outcome)).inc()
    if not recorded.accepted:
        STALE_RESULTS.inc()
        facts = {"event": "message.result-stale", "message_id": str(message.id), "attempt": message.attempt}
        log.warning("a result was refused: its lease had ended", extra=facts)
    elif result.state is not MessageState.PENDING:
        LAG.labels(str(result.state)).observe((clock.now() - message.happened_at).total_seconds())


@jobs.job("notifications.sweep")
async def sweep(_: dict[str, Any]) -> None:
    """Log a warning when messages have been due for `notification_sweep_seconds` and no worker delivers them."""
    left = await outbox.list_due_residents(settings().notification_sweep_seconds)
    if left:
        log.warning("messages are overdue", extra={"event": "message.overdue", "residents": len(left)})
