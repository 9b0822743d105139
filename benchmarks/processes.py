"""Processes of a benchmark: started, waited for, and never left behind, however the benchmark ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

Process = subprocess.Popen[bytes]
GOODBYE = 20.0
"""Seconds that processes have to drain before they are killed."""
_WATCH = ["sh", "-c", "read _; kill -KILL 0"]
"""Waits for the end of its input, which comes even when we are killed, and takes its whole process group with it."""


def end_orderly() -> None:
    """Have SIGTERM and the end of the terminal leave every `with` and `finally`, as Ctrl-C does."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, leave)


@contextmanager
def running(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Iterator[list[Process]]:
    """So many `python …` in one process group; it ends with the block, or when we are gone."""
    watch = subprocess.Popen(_WATCH, stdin=subprocess.PIPE, process_group=0)
    group, processes = watch.pid, list[Process]()
    try:
        processes.extend(
            subprocess.Popen([sys.executable, *each], env=environment, stdin=subprocess.DEVNULL, process_group=group)
            for each in commands
        )
        yield processes
    finally:
        for process in processes:
            process.terminate()
        until = time.monotonic() + GOODBYE
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        os.killpg(group, signal.SIGKILL)
        for process in (*processes, watch):
            process.wait()


def run_module(module: str, order: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run `python -m module` to its end with an order on stdin; what it said, both as JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", module], input=json.dumps(order).encode(), stdout=subprocess.PIPE, env=environment,
        check=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def waited_for(process: Process, port: int, name: str, patience: float = 60) -> None:
    """Wait until the process answers on the port. Raises RuntimeError when it ends or does not answer in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} did not start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{name} does not answer")
