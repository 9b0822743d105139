"""The processes of a demo: started, waited for, killed when the story wants it, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

from backend import clock

READY = 60.0
"""Seconds within which a process must answer; starting takes about one."""
GOODBYE = 8.0
"""Seconds that processes have to drain before they are killed."""


class DemoFailed(Exception):
    """The demo cannot go on; the message says what happened and what to look at."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that are free now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Processes:
    """Named child processes, each in a process group of its own. What they print is in files of `folder`: answers in
    `.out`, the log in `.log`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], lifeline: int) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._lifeline = lifeline
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def know(self, environment: Mapping[str, str]) -> None:
        """Every process that is started from now on has this in its environment, too."""
        self.environment.update(environment)

    def start(self, name: str, *arguments: str, lifeline: bool = False) -> None:
        """Start `python -m …arguments` under this name; with `lifeline`, it watches ours and ends when we are gone."""
        watched = ["--lifeline", str(self._lifeline)] if lifeline else []
        with open(self.folder / f"{name}.out", "wb") as answers, open(self.folder / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments, *watched],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=answers,
                stderr=log,
                pass_fds=[self._lifeline] if lifeline else [],
                start_new_session=True,
            )

    async def ask(self, name: str, *arguments: str) -> tuple[int, str]:
        """Run to the end; the exit status and the answer, without the log beside it."""
        self.start(name, *arguments)
        process = self._running[name]
        status = await asyncio.to_thread(process.wait)
        del self._running[name]
        return status, (self.folder / f"{name}.out").read_text(errors="replace")

    async def until_ready(self, name: str, url: str, http: aiohttp.ClientSession) -> float:
        """Wait until the address answers 200; how many seconds that took. Raises DemoFailed when it never does."""
        began = clock.monotonic()
        while clock.monotonic() - began < READY:
            self.must_run(name)
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return clock.monotonic() - began
            await asyncio.sleep(0.05)
        raise DemoFailed(f"{name} 在 {READY:.0f} 秒内没有就绪：\n{self.last_words(name)}")

    async def until_logged(self, name: str, words: str) -> float:
        """Wait until the process has logged the words; how many seconds that took. Raises DemoFailed when it ends or is
        silent about it."""
        began = clock.monotonic()
        while clock.monotonic() - began < READY:
            if words in (self.folder / f"{name}.log").read_text(errors="replace"):
                return clock.monotonic() - began
            self.must_run(name)
            await asyncio.sleep(0.05)
        raise DemoFailed(f"{name} 在 {READY:.0f} 秒内没有完成：\n{self.last_words(name)}")

    async def until_ended(self, name: str) -> None:
        """Wait for the end. Raises DemoFailed with the last lines that it printed when that was not a success."""
        status = await asyncio.to_thread(self._running[name].wait)
        del self._running[name]
        if status:
            raise DemoFailed(f"{name} 没有成功（退出码 {status}）：\n{self.last_words(name)}")

    def must_run(self, name: str) -> None:
        """Raises DemoFailed when the process has ended by itself."""
        process = self._running[name]
        if process.poll() is not None:
            raise DemoFailed(f"{name} 意外退出（退出码 {process.returncode}）：\n{self.last_words(name)}")

    def kill(self, name: str) -> None:
        """SIGKILL to the whole group: no goodbye, as when a machine loses its power."""
        process = self._running.pop(name)
        _signal(process, signal.SIGKILL)
        process.wait()

    async def stop(self) -> None:
        """Ask every process to end, last started first; after `GOODBYE` seconds the rest are killed."""
        ending = list(reversed(self._running.values()))
        self._running.clear()
        for process in ending:
            _signal(process, signal.SIGTERM)
        until = clock.monotonic() + GOODBYE
        for process in ending:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, max(0.0, until - clock.monotonic()))
        for process in ending:
            _signal(process, signal.SIGKILL)
            process.wait()

    def last_words(self, name: str, lines: int = 60) -> str:
        """The end of what the process printed, its log last."""
        files = (self.folder / f"{name}.{kind}" for kind in ("out", "log"))
        text = "".join(each.read_text(errors="replace") for each in files if each.exists())
        return "\n".join(text.splitlines()[-lines:]) or "（没有输出）"


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The leader may be gone while a child of its group still lives.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
