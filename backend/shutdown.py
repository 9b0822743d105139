"""How processes end: by a signal, or because the process that started them is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ECHO = 1.0


class Orders:
    """The orders of this process: `stop` at the first signal, `hurry` at the second, `orphaned` when its parent is
    gone.

    An overdue process is ended by force `limit` seconds after the first order, even when it hangs.
    """

    def __init__(self, limit: float, on_stop: Callable[[], None] = lambda: None) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.orphaned = False
        self._limit = limit
        self._on_stop = on_stop
        self._given = 0.0
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.give)

    def give(self) -> None:
        """Order the process to stop; the second time, at once.

        Terminals and process managers signal a whole group, and a parent passes the order on besides: what
        comes within `ECHO` seconds of the first order is its echo.
        """
        if self.stop.is_set():
            if self._loop.time() - self._given > ECHO:
                self.hurry.set()
            return
        self._given = self._loop.time()
        overdue = threading.Timer(self._limit, os._exit, (1,))
        overdue.daemon = True
        overdue.start()
        self._on_stop()
        self.stop.set()

    def watch(self, lifeline: int) -> None:
        """Stop when the other end of this pipe is closed: the kernel does that even for a killed parent."""

        def wait() -> None:
            while os.read(lifeline, 1):
                pass
            self._loop.call_soon_threadsafe(self._orphan)

        threading.Thread(target=wait, daemon=True, name="lifeline").start()

    def _orphan(self) -> None:
        self.orphaned = True
        if not self.stop.is_set():
            self.give()


@contextmanager
def lifeline() -> Iterator[int]:
    """A descriptor to hand to children (`pass_fds`), who watch it and end when this process does."""
    theirs, ours = os.pipe()
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)
