"""The process that keeps one bundled server: starts it, waits for its last holder to go, stops it.

It runs in a session of its own, writes one line to stdout (`ready`, or what is wrong) and is started by
`backend.embedded` only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from backend.embedded_servers import Postgres, Server, Valkey, write


def main() -> NoReturn:
    """Read the arguments: the project's folder, the kind of server, its own folder, its purpose."""
    keep(*sys.argv[2:])


def keep(kind: str, folder_name: str, purpose: str) -> NoReturn:
    """Keep the server until no process holds it."""
    folder, durable = Path(folder_name), purpose == "durable"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keeping = os.open(folder / "keeping", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(keeping, fcntl.LOCK_EX)
    (folder / "address").unlink(missing_ok=True)
    try:
        _serve(Postgres(folder, durable) if kind == "postgres" else Valkey(folder, durable), folder, durable)
    except (OSError, subprocess.SubprocessError) as error:
        _report(_reason(error))
        sys.exit(1)
    finally:
        if not durable:
            _remove(folder)
        os.close(keeping)  # before `holders`: a newcomer who gets that one must find no keeper
    sys.exit(0)


def _serve(server: Server, folder: Path, durable: bool) -> None:
    if not durable:
        server.stop()  # left behind by a keeper that was killed
        shutil.rmtree(folder / "data", ignore_errors=True)
    try:
        url = server.start()
        write(folder / "address", json.dumps({"url": url, "keeper": str(os.getpid())}))
        _report("ready")
        holders = os.open(folder / "holders", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(holders, fcntl.LOCK_EX)  # granted when the last holder has gone, however it went
    finally:
        (folder / "address").unlink(missing_ok=True)
        server.stop()


def _report(line: str) -> None:
    """Report to the starter, which may have died meanwhile, and close its pipe."""
    with suppress(OSError):
        os.write(1, line.encode() + b"\n")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.close(silent)


def _reason(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return " ".join(str(said).split())[-600:]


def _remove(folder: Path) -> None:
    """Remove a throw-away folder, unless a newcomer is waiting at its door."""
    starting = os.open(folder / "starting", os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(BlockingIOError):
        fcntl.flock(starting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()
