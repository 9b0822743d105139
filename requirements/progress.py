"""Run a command of the installation, show how far it is, and never be silent for long: `progress.py WHAT COMMAND…`.

Of pip's output one line per package is shown; all of it follows when the command fails. Standard library only: there
may be nothing else yet.
"""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

QUIET = 3.0
"""Seconds without news after which a line says that the work goes on."""
_PACKAGE = re.compile(r"(?:Collecting|Processing) (?:\S*/)?([^ ;-]+?)(?:==|-)([^ ;-]+)")
"""pip's line about a package that it fetches, or finds as a file."""


def main(what: str, *command: str) -> int:
    """Run the command; its exit status."""
    began = time.monotonic()
    say(f"· {what}")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    whole, packages, total, doing = [], 0, _wanted(command), what
    while True:
        try:
            line = lines.get(timeout=QUIET)
        except queue.Empty:
            say(f"  … {doing}, {time.monotonic() - began:.0f} s")
            continue
        if line is None:
            break
        whole.append(line)
        if found := _PACKAGE.match(line):
            packages += 1
            say(f"  {packages:3}/{total} {found[1]} {found[2]}")
        elif line.startswith("Ignoring "):  # the lock file also names what other systems need
            total -= 1
        elif packages and line.startswith("Installing collected packages"):
            doing = f"unpacking {packages} packages"
            say(f"  {doing}")
    if status := process.wait():
        say("".join(whole))
    return status


def say(line: str) -> None:
    """One line of progress."""
    print(line, file=sys.stderr, flush=True)


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _wanted(command: tuple[str, ...]) -> int:
    """How many packages the requirements file of the command names."""
    files = [Path(after) for option, after in pairwise(command) if option == "-r"]
    return sum("==" in line for file in files for line in file.read_text("utf-8").splitlines())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
