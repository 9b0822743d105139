"""`zhangban demo` as a process, and everything that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 240.0
"""Seconds for a machine that runs other tests besides."""


def demo(*options: str, folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Run the demo to its end; the process and what it wrote as data."""
    file = folder / "demo.json"
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "demo", "--json", str(file), *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )
    return done, json.loads(file.read_text())


@contextmanager
def started(*options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo, running inside the block and killed after it if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "demo", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


def until(happened: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until it gives something true, and return that. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.05)
    raise TimeoutError(happened)


class Process(NamedTuple):
    """One line of the process table."""

    parent: int
    state: str
    command: str


def table() -> dict[int, Process]:
    """Every process of this machine: from /proc where there is one, else from ps."""
    if not Path("/proc/self/stat").exists():
        lines = subprocess.check_output(["ps", "-axo", "pid=,ppid=,stat=,command="], text=True).splitlines()
        split = [line.split(None, 3) for line in lines]
        return {int(each[0]): Process(int(each[1]), each[2], each[3]) for each in split}
    found: dict[int, Process] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(entry.name)] = Process(int(parent), state, command)
    return found


def descendants(process_id: int) -> dict[int, Process]:
    """Every process that came from this one and still has a line of parents to it."""
    known = table()
    found = {process_id}
    while more := {child for child, process in known.items() if process.parent in found} - found:
        found |= more
    return {each: known[each] for each in found - {process_id}}


def alive(family: dict[int, Process]) -> list[Process]:
    """Those of the family that still run; a zombie does not."""
    known = table()
    return [
        known[each]
        for each, was in family.items()
        if each in known and not known[each].state.startswith("Z") and known[each].command == was.command
    ]
