"""Bringing messages: one resident's turn after the other, way after way, until a partner took it or the inbox holds it.

The messages themselves are the queue: every worker looks what is due (`dispatch`) and brings it, to so many residents
at once. No job has to be written, kept or found again for it, and nothing is lost with one.

What a partner's trouble means is its `remedy`: a refusal goes to the next way at once; what may pass is tried again on
the same way after the delays of `notification_retry_seconds`, then the next way; a spent quota closes the way for a
while, so that a burst of messages does not ask a partner who said "tomorrow" ten thousand times. The inbox entry exists
from the beginning: nothing that happens here can lose a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import Counter, Histogram

from backend import clock, jobs
from backend.database import may_pass
from backend.partners import in_use
from backend.partners.errors import PartnerTrouble, PartnerUnreachable, Remedy
from backend.partners.wechat.port import WechatNotSubscribed
from backend.settings import settings
from models.notifications import ChannelName, ConsentAnswer, ConsentSource, MessageState, Outcome
from notifications import channels, consent, marking, outbox, proof
from notifications.channels import Letter, Skipped
from notifications.consent import Report
from notifications.marking import Marked, Result
from notifications.outbox import Parcel

log = logging.getLogger(__name__)

IN_ONE_TURN = 20
"""Messages that are brought to one resident before others have their turn."""
LONGEST_WAIT = 600.0
"""Seconds; a partner that puts us off for longer is not waited for: the next way is taken."""
JITTER = 0.2

ATTEMPTS = Counter("zhangban_messages_attempts_total", "Attempts to bring a message", ["channel", "outcome"])
REFUSED_MARKS = Counter("zhangban_messages_stale_marks_total", "Marks refused because the lease had passed to another")
LAG = Histogram(
    "zhangban_messages_lag_seconds", "From the event to the end of its message", ["state"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
)  # fmt: skip

CRON: list[tuple[str, str]] = [("* * * * *", "notifications.sweep")]
"""What notifications do by the clock; a worker takes it with the table of backend/schedule.py."""

KNOWN = 8
"""For how many rounds of residents a worker looks ahead; others may take them first."""


LONGEST_REST = 1.0
"""Seconds; what is to be tried later than that stands in the table with its time."""


async def dispatch(stop: asyncio.Event) -> None:
    """Bring what is due, to `job_concurrency` residents at once, until `stop` is set; then end what is in flight."""
    at_once, pause = settings().job_concurrency, settings().job_poll_seconds
    running: dict[asyncio.Task[float | None], UUID] = {}
    resting: dict[UUID, float] = {}
    due: list[UUID] = []
    try:
        while not stop.is_set():
            if not due and len(running) < at_once:
                resting = {each: until for each, until in resting.items() if until > clock.monotonic()}
                due = await outbox.overdue(0.0, at_once * KNOWN, but={*running.values(), *resting})
                random.shuffle(due)  # another worker looks at the same ones
            while due and len(running) < at_once:
                resident_id = due.pop()
                running[asyncio.create_task(bring(resident_id))] = resident_id
            if not running:
                await _either(stop, pause)
                continue
            # A call that takes long keeps neither others waiting while there is room, nor us when we are to stop.
            done, _ = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                resident_id = running.pop(task)
                if rest := _rest_after(task, resident_id):
                    resting[resident_id] = clock.monotonic() + rest
    finally:
        await asyncio.gather(*running, return_exceptions=True)
        for task, resident_id in running.items():
            _rest_after(task, resident_id)  # says what went wrong


async def _either(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _rest_after(task: asyncio.Task[float | None], resident_id: UUID) -> float:
    """For how many seconds not to ask for this resident's turn again: somebody else has it, or it cannot go on yet."""
    if task.cancelled():  # by nobody of ours; a worker must not end with it
        log.error("bringing messages was cancelled", extra={"resident_id": str(resident_id)})
        return LONGEST_REST
    if error := task.exception():
        log.error("bringing messages failed", exc_info=error, extra={"resident_id": str(resident_id)})
        return LONGEST_REST
    return min(task.result() or 0.0, LONGEST_REST)


async def bring_due(at_once: int = 1) -> list[float]:
    """Bring what is due now, once for every resident; how long those who have to wait want to wait."""
    gate, waits = asyncio.Semaphore(at_once), list[float]()
    seen: set[UUID] = set()

    async def one(resident_id: UUID) -> None:
        async with gate:
            while (wait := await bring(resident_id)) == 0.0:
                continue
            if wait is not None:
                waits.append(wait)

    while batch := [each for each in await outbox.overdue(0.0) if each not in seen]:
        seen.update(batch)
        await asyncio.gather(*map(one, batch))
    return waits


jobs.also_drains(bring_due)


async def bring(resident_id: UUID) -> float | None:
    """Send the messages that are due for this resident, in the order of their events.

    Returns the seconds after which to come back: because one is to be tried again, or because somebody else has the
    turn. None when nothing is left.
    """
    fence: int | None = None
    for _ in range(IN_ONE_TURN):
        turn = await outbox.take(resident_id, fence)
        if turn.parcel is None:
            if turn.again:
                fence = turn.fence
                continue
            if turn.fence is not None:
                await outbox.give_back(resident_id, turn.fence)
            return turn.wait
        fence = turn.parcel.fence
        result, marked = await _carry(turn.parcel)
        if not marked.more:
            return result.delay if marked.accepted and result.state is MessageState.PENDING else None
    await outbox.give_back(resident_id, fence or 0)
    return 0.0


async def _carry(parcel: Parcel) -> tuple[Result, Marked]:
    """One attempt on the first way that is open, and its mark."""
    skipped: list[tuple[ChannelName, str]] = []
    letter: Letter | None = None
    channel = ChannelName.INBOX
    for channel in channels.from_here(parcel.channel):
        if channel is ChannelName.INBOX:
            break
        prepared = await _prepare(channel, parcel)
        if isinstance(prepared, Letter):
            letter = prepared
            break
        skipped.append((channel, prepared.code))
    moved = await outbox.pass_over(parcel, skipped, channel) if skipped else parcel
    if moved is None:
        REFUSED_MARKS.inc()
        return Result(MessageState.PENDING, channel, 0, 0, Outcome.SKIPPED), Marked(False, False)
    result = await _attempt(channel, letter, moved)
    marked = await marking.mark(moved, result)
    _count(moved, channel, result, marked)
    return result, marked


async def _prepare(channel: ChannelName, parcel: Parcel) -> Letter | Skipped:
    try:
        return await channels.prepare(channel, parcel, in_use())
    except Exception as error:
        if may_pass(error):
            raise  # the database is away: that says nothing about the way
        log.exception("a message cannot be put into words", extra={"template": parcel.name, "way": str(channel)})
        return Skipped(f"{proof.OUR_MISTAKE}:{type(error).__name__}")


async def _attempt(channel: ChannelName, letter: Letter | None, parcel: Parcel) -> Result:
    if letter is None:
        return Result(MessageState.INBOX, ChannelName.INBOX, 0, 0, Outcome.ACCEPTED)
    if channel in parcel.paused:
        return _again(channel, parcel, Outcome.POSTPONED, "quota-pause")
    begun = clock.now()
    try:
        # A call that outlives the lease would be repeated while it still runs.
        async with asyncio.timeout(settings().notification_lease_seconds * 0.8):
            partner_id = await letter.send()
    except PartnerTrouble as trouble:
        return await _after(trouble, channel, letter, parcel, begun)
    except TimeoutError:
        return _again(channel, parcel, Outcome.UNCERTAIN, "timeout")
    except Exception as error:
        log.exception("a way broke", extra={"way": str(channel), "template": parcel.name})
        return _onward(channel, Outcome.REFUSED, f"{proof.OUR_MISTAKE}:{type(error).__name__}")
    return Result(MessageState.SENT, channel, parcel.tries, 0, Outcome.ACCEPTED, "0", partner_id, letter.spends)


async def _after(
    trouble: PartnerTrouble, channel: ChannelName, letter: Letter, parcel: Parcel, begun: datetime
) -> Result:
    code = trouble.partner_code or trouble.code
    if isinstance(trouble, WechatNotSubscribed):
        await consent.take_down(parcel.resident_id, [_lost(letter.spends, parcel, begun)])
    if trouble.remedy in (Remedy.GIVE_UP, Remedy.CONFIGURE):
        level = logging.ERROR if trouble.remedy is Remedy.CONFIGURE else logging.INFO
        said = {"way": str(channel), "partner_code": code, "template": parcel.name}
        log.log(level, "a way refused a message", extra=said)
        return _onward(channel, Outcome.REFUSED, code)
    if trouble.remedy is Remedy.TOMORROW:
        await outbox.pause(channel, settings().notification_quota_pause_seconds, code)
        log.warning("a partner's quota is spent", extra={"way": str(channel), "partner_code": code})
    if (trouble.retry_after or 0.0) > LONGEST_WAIT:  # a day's texts to one phone, say: others would wait behind this
        return _onward(channel, Outcome.REFUSED, code)
    uncertain = isinstance(trouble, PartnerUnreachable) and trouble.maybe_done
    outcome = Outcome.UNCERTAIN if uncertain else Outcome.RETRY
    return _again(channel, parcel, outcome, code, at_least=trouble.retry_after or 0.0)


def _lost(template_id: str, parcel: Parcel, begun: datetime) -> Report:
    """WeChat speaks of what it knew when the call began: a yes that was given meanwhile stays."""
    return Report(template_id, ConsentAnswer.LOST, ConsentSource.SEND, f"send:{parcel.id}:{parcel.attempt}:lost", begun)


def _onward(channel: ChannelName, outcome: Outcome, code: str) -> Result:
    following = channels.after(channel)
    state = MessageState.INBOX if following is ChannelName.INBOX else MessageState.PENDING
    return Result(state, following, 0, 0, outcome, code)


def _again(channel: ChannelName, parcel: Parcel, outcome: Outcome, code: str, *, at_least: float = 0.0) -> Result:
    delay = retry_delay(parcel.tries + 1)
    if delay is None:
        return _onward(channel, Outcome.EXHAUSTED, code)
    return Result(MessageState.PENDING, channel, parcel.tries + 1, max(delay, at_least), outcome, code)


def retry_delay(failures: int, *, chance: Callable[[float, float], float] = random.uniform) -> float | None:
    """Seconds to wait after the n-th failure (from 1) on one way, with a fifth of jitter; None after the last one."""
    delays = [float(part) for part in settings().notification_retry_seconds.split(",") if part.strip()]
    if failures > len(delays):
        return None
    return delays[failures - 1] * chance(1 - JITTER, 1 + JITTER)


def _count(parcel: Parcel, channel: ChannelName, result: Result, marked: Marked) -> None:
    ATTEMPTS.labels(str(channel), str(result.outcome)).inc()
    if not marked.accepted:
        REFUSED_MARKS.inc()
        log.warning("a mark came too late", extra={"message_id": str(parcel.id), "attempt": parcel.attempt})
    elif result.state is not MessageState.PENDING:
        LAG.labels(str(result.state)).observe((clock.now() - parcel.happened_at).total_seconds())


@jobs.job("notifications.sweep")
async def sweep(_: dict[str, Any]) -> None:
    """Raise the alarm when messages have been due for `notification_sweep_seconds` while nobody brings them."""
    left = await outbox.overdue(settings().notification_sweep_seconds)
    if left:
        log.warning("messages were left lying", extra={"residents": len(left)})
