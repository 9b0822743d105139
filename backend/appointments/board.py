"""The live board of a hall: which number is called to which window, and how many wait. Numbers only, no names.

A change is announced through Redis; every process that has subscribers for the hall then reads the snapshot once and
hands the same bytes to all of them. So an announcement that is lost, doubled or late does no harm: the snapshot is read
again after a while anyway, sooner while Redis is deaf. A subscriber who is slow gets the newest snapshot and not a
backlog; the edge drops those who read nothing at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import date, datetime
from uuid import UUID

import msgspec
from msgspec import Struct
from prometheus_client import Gauge

from backend import cache, clock
from backend.appointments.errors import BoardFull
from backend.appointments.estimating import LOOKED_AT, USUAL_SECONDS, minutes_for
from backend.database import fetch_row, in_transaction
from backend.errors import raises
from backend.regions.errors import HallNotFound

log = logging.getLogger(__name__)

STREAMS = 2000
"""So many may follow boards in one process; more are refused and ask for the snapshot."""
LONGEST = 1800.0
"""Seconds after which a stream ends; the client connects again by itself, perhaps to another process."""
HEARTBEAT = 10.0
"""Seconds of silence after which a comment is sent, so that nothing in between closes the connection."""
LOOK_AGAIN, LOOK_AGAIN_DEAF = 10.0, 2.0
"""Seconds after which the snapshot is read even without an announcement: with Redis, and without."""
PAUSE = 0.1
"""Changes within this time make one snapshot."""
CHANNEL = "board:"

FOLLOWING = Gauge("zhangban_board_connections", "Connections that follow a live board")


class CalledTicket(Struct, frozen=True, kw_only=True):
    """A number at a window. `calls` counts how often it was called."""

    label: str
    window: str
    line_code: str
    called_at: datetime
    calls: int


class LineQueue(Struct, frozen=True, kw_only=True):
    """The queue of one line. `minutes`: how long a visitor who comes now waits; null when no window is open for it."""

    code: str
    name: str
    waiting: int
    next: list[str]
    windows: int
    minutes: int | None


class Board(Struct, frozen=True, kw_only=True):
    """What the screen in the hall shows; the number that was called last comes first."""

    hall_id: UUID
    hall_name: str
    day: date
    called: list[CalledTicket]
    lines: list[LineQueue]


class Frame(Struct, frozen=True):
    """A snapshot as bytes, and its version. Without bytes it is a heartbeat."""

    version: str
    body: bytes


# One statement, so that the numbers at the windows and the numbers that wait are those of one moment.
_BOARD = """
WITH today AS (SELECT h.id, h.name, (now() AT TIME ZONE 'Asia/Shanghai')::date AS day FROM halls h WHERE h.id = $1)
SELECT today.name, today.day, (
    SELECT coalesce(json_agg(c), '[]') FROM (
        SELECT t.label, w.number AS window, l.code AS line_code, t.called_at, t.calls
        FROM tickets t JOIN windows w ON w.id = t.window_id JOIN service_lines l ON l.id = t.line_id
        WHERE t.hall_id = today.id AND t.day = today.day AND t.state = 'called'
        ORDER BY t.called_at DESC, t.sequence DESC LIMIT 100) c)::text AS called, (
    SELECT coalesce(json_agg(q), '[]') FROM (
        SELECT l.code, l.name, w.waiting, w.next,
               (SELECT count(*) FROM windows o
                WHERE o.hall_id = today.id AND o.open AND l.id = ANY(o.line_ids)) AS windows,
               (SELECT avg(greatest(1, extract(epoch FROM served_at - called_at)))::float8 FROM (
                    SELECT served_at, called_at FROM tickets s WHERE s.hall_id = today.id AND s.line_id = l.id
                    AND s.day = today.day AND s.state = 'served' ORDER BY served_at DESC LIMIT $2) last) AS seconds
        FROM service_lines l, LATERAL (
            SELECT count(*) AS waiting,
                   coalesce((array_agg(label ORDER BY wanted_at, sequence))[1:5], '{}') AS next
            FROM tickets t WHERE t.hall_id = today.id AND t.line_id = l.id AND t.day = today.day
            AND t.state = 'waiting') w
        WHERE l.hall_id = today.id AND (l.active OR w.waiting > 0) ORDER BY l.code) q)::text AS lines
FROM today
"""


class _Counted(Struct, frozen=True, kw_only=True):
    """A line as the statement counts it."""

    code: str
    name: str
    waiting: int
    next: list[str]
    windows: int
    seconds: float | None


_called = msgspec.json.Decoder(list[CalledTicket])
_counted = msgspec.json.Decoder(list[_Counted])


@raises(HallNotFound)
async def get_board(hall_id: UUID) -> Board:
    """The board as it is now, today."""
    row = await fetch_row(_BOARD, hall_id, LOOKED_AT)
    if row is None:
        raise HallNotFound
    return Board(
        hall_id=hall_id,
        hall_name=row["name"],
        day=row["day"],
        called=_called.decode(row["called"]),
        lines=[_queue(each) for each in _counted.decode(row["lines"])],
    )


def _queue(line: _Counted) -> LineQueue:
    minutes = minutes_for(line.waiting, line.seconds or USUAL_SECONDS, line.windows)
    return msgspec.convert({**msgspec.structs.asdict(line), "minutes": minutes}, LineQueue)


async def get_frame(hall_id: UUID) -> Frame:
    """The snapshot as bytes. Raises HallNotFound."""
    body = msgspec.json.encode(await get_board(hall_id))
    return Frame(hashlib.sha256(body).hexdigest()[:16], body)


async def announce_board(hall_id: UUID) -> None:
    """Say that the hall's queue has changed. Call it after the commit; inside a transaction it says nothing, because
    no reader could see the change yet, and the next look of each process finds it."""
    if in_transaction():
        return
    if following := _halls.get(hall_id):
        following.wake.set()
    with suppress(cache.CacheDown):
        await cache.ask(lambda redis: redis.publish(f"{CHANNEL}{hall_id.hex}", b"1"))


# -- what a process keeps for those who follow -----------------------------------------------------------


class _Following:
    """A hall whose board this process streams."""

    def __init__(self, hall_id: UUID, first: Frame) -> None:
        self.hall_id, self.frame = hall_id, first
        self.subscribers = 0
        self.wake, self.changed = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN if _subscription.connected else LOOK_AGAIN_DEAF):
                    await self.wake.wait()
            self.wake.clear()
            try:
                self.show(await get_frame(self.hall_id))
            except Exception as error:
                # The streams keep the last snapshot; the next read may find the database again.
                facts = {"reason": type(error).__name__}
                log.warning("live board not read, trying again", extra={"event": "board.read-failed", **facts})
            await asyncio.sleep(PAUSE)

    def show(self, frame: Frame) -> None:
        if frame.version != self.frame.version:
            self.frame = frame
            self.rouse()

    def rouse(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class _Subscription:
    """The one subscription of this process, to the announcements of every hall."""

    def __init__(self) -> None:
        self.connected = False
        self.task: asyncio.Task[None] | None = None

    def open(self) -> None:
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(cache.listen(f"{CHANNEL}*", _wake, connected=self._set_connected))

    def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
        self.task, self.connected = None, False

    def _set_connected(self, connected: bool) -> None:
        self.connected = connected
        _wake_all()  # what was announced before we listened, or will be while we do not


_halls: dict[UUID, _Following] = {}
_subscription = _Subscription()
_ended = False


def _wake(channel: bytes, _: bytes) -> None:
    with suppress(ValueError):
        if following := _halls.get(UUID(hex=channel.decode("latin-1").removeprefix(CHANNEL))):
            following.wake.set()


def _wake_all() -> None:
    for following in _halls.values():
        following.wake.set()


@raises(HallNotFound, BoardFull)
async def stream_board(hall_id: UUID) -> AsyncGenerator[Frame, None]:
    """The snapshot, and every newer one as soon as it is there, with heartbeats in between; ends after `LONGEST`
    seconds. The caller must close it. Raises both before the first frame."""
    if _ended or sum(each.subscribers for each in _halls.values()) >= STREAMS:
        raise BoardFull(retry_after=5)
    return _frames(hall_id, await get_frame(hall_id))


async def _frames(hall_id: UUID, first: Frame) -> AsyncGenerator[Frame, None]:
    following = _enter(hall_id, first)
    ends, seen = clock.monotonic() + LONGEST, ""
    try:
        while not _ended and clock.monotonic() < ends:
            changed, frame = following.changed, following.frame
            if frame.version != seen:
                seen = frame.version
                yield frame
                continue
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await changed.wait()
            except TimeoutError:
                yield Frame(seen, b"")
    finally:
        _leave(following)


def _enter(hall_id: UUID, first: Frame) -> _Following:
    following = _halls.get(hall_id)
    if following is None:
        following = _halls[hall_id] = _Following(hall_id, first)
        _subscription.open()
    else:
        following.wake.set()
    following.subscribers += 1
    FOLLOWING.inc()
    return following


def _leave(following: _Following) -> None:
    following.subscribers -= 1
    FOLLOWING.dec()
    if following.subscribers == 0:
        following.task.cancel()
        _halls.pop(following.hall_id, None)
    if not _halls:
        _subscription.close()


def end_board_streams() -> None:
    """End every stream of this process and begin no other: it is going to stop, and the clients connect elsewhere."""
    global _ended
    _ended = True
    for following in _halls.values():
        following.rouse()


def begin_streams() -> None:
    """Streams may begin (again)."""
    global _ended
    _ended = False
