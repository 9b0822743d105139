"""PostgreSQL and Valkey from their wheels, for a machine that has neither.

Processes that want a server *hold* it: each keeps a shared lock on one file. A keeper process
(`backend/embedded_keeper.py`) starts the server and then waits for the exclusive lock on that file, which
the kernel gives it when the last holder has gone, be it by a return, an error or SIGKILL; then it stops the
server. So no process counts others, and a dead process leaves no lock behind.

Three files in the server's folder are locked, always in this order: `starting` (one newcomer at a time),
`holders` (shared by holders, exclusive for the keeper while it stops), `keeping` (the keeper lives).

This module imports neither wheel; the keeper does.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from backend.settings import settings

Kind = Literal["postgres", "valkey"]
NAMES: dict[Kind, str] = {"postgres": "PostgreSQL", "valkey": "Valkey"}
READY_SECONDS = 90.0
"""The longest that a first start may take on a slow disk."""
GONE_SECONDS = 30.0
"""How long the last holder waits until the server has stopped."""

_keepers: list[subprocess.Popen[bytes]] = []
"""Keepers this process started: they outlive it when others still hold the server."""


class EmbeddedFailed(RuntimeError):
    """A bundled server could not be started; the message says why and where its log is."""


@dataclass(frozen=True)
class Urls:
    """Where the servers answer; empty for a server that was not wanted."""

    database_url: str = ""
    redis_url: str = ""


@contextmanager
def servers(
    data_dir: Path | str | None = None,
    *,
    durable: bool = True,
    postgres: bool = True,
    valkey: bool = True,
    say: Callable[[str], None] | None = None,
) -> Iterator[Urls]:
    """Hold the wanted servers inside the block, starting those that do not run yet.

    Durable servers keep their data in `data_dir`, or else where `default_folder()` says. Others are
    throw-away: no fsync, room for 400 connections, and their folder (a temporary one unless given) is removed
    after the last holder. `say` is called with each line of progress; by default it is written to stderr.
    Raises EmbeddedFailed when a server does not start.
    """
    report = say or _to_stderr
    root = Path(data_dir) if data_dir else default_folder() if durable else _temporary_folder()
    root = root.expanduser().resolve()
    if not durable and os.geteuid() == 0:
        _open_the_way(root)
    with ExitStack() as stack:
        yield Urls(
            database_url=stack.enter_context(_held("postgres", root, durable, report)) if postgres else "",
            redis_url=stack.enter_context(_held("valkey", root, durable, report)) if valkey else "",
        )


def default_folder() -> Path:
    """The folder of durable data: the setting `data_dir`, or the user's data directory.

    Root's home is closed to the account that PostgreSQL must run as, so root gets /var/lib/zhangban.
    """
    if given := settings().data_dir:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/zhangban")
    return platformdirs.user_data_path("zhangban", appauthor=False)


def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="zhangban-"))


def _open_the_way(folder: Path) -> None:
    """PostgreSQL does not run as root, so its account must pass; the data folders inside stay closed."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(folder.stat().st_mode | 0o011)


def _to_stderr(line: str) -> None:
    print(f"· {line}", file=sys.stderr, flush=True)


@contextmanager
def _held(kind: Kind, root: Path, durable: bool, report: Callable[[str], None]) -> Iterator[str]:
    folder = root / kind
    with _starting(folder) as starting:
        _refuse_other_purpose(folder, durable)
        holding = os.open(folder / "holders", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(holding, fcntl.LOCK_SH)  # waits while a keeper is stopping the server
            url = ""
            while not url:
                if not is_locked(folder / "keeping"):
                    _start_keeper(kind, folder, durable, report)
                url = _url(folder)
        except BaseException:
            os.close(holding)
            raise
        finally:
            fcntl.flock(starting, fcntl.LOCK_UN)
    try:
        yield url
    finally:
        _leave(holding, folder)


@contextmanager
def _starting(folder: Path) -> Iterator[int]:
    """Be the only newcomer; we look again because a leaving keeper may have removed the folder."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / "starting", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(descriptor, folder / "starting"):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _refuse_other_purpose(folder: Path, durable: bool) -> None:
    """A throw-away server wipes its folder, so it never gets one that holds real data, nor lends its own."""
    if not (folder / "data").exists():
        return
    if durable == (folder / "throw-away").exists():
        held, wanted = ("throw-away", "durable") if durable else ("durable", "throw-away")
        raise EmbeddedFailed(f"{folder} holds {held} data and cannot be a {wanted} folder; name another")


def _start_keeper(kind: Kind, folder: Path, durable: bool, report: Callable[[str], None]) -> None:
    first_time = "" if (folder / "data").exists() else " (the first time: its data folder is made)"
    report(f"{NAMES[kind]} is starting in {folder}{first_time}")
    if not durable:
        (folder / "throw-away").touch()
    begun = time.monotonic()
    code = "import sys; sys.path.insert(0, sys.argv[1]); import backend.embedded_keeper as us; us.main()"
    home = str(Path(__file__).resolve().parent.parent)
    with open(folder / "keeper.log", "wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-c", code, home, kind, str(folder), "durable" if durable else "throw-away"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; the keeper goes when its holders are gone
        )
    _keepers.append(keeper)
    assert keeper.stdout is not None
    with keeper.stdout as pipe:
        answer = pipe.readline().decode().strip()
    if answer != "ready":
        keeper.wait()
        last = (folder / "keeper.log").read_text(errors="replace").strip().rpartition("\n")[2]
        raise EmbeddedFailed(f"{NAMES[kind]} did not start in {folder}: {answer or last} (see the logs there)")
    report(f"{NAMES[kind]} answers after {time.monotonic() - begun:.1f} s")


def _url(folder: Path) -> str:
    """The address that the keeper writes when its server is ready; empty when the keeper has gone instead."""
    until = time.monotonic() + READY_SECONDS
    while is_locked(folder / "keeping"):
        try:
            return str(json.loads((folder / "address").read_text())["url"])
        except FileNotFoundError:
            time.sleep(0.05)  # the process that started this keeper has died, and the keeper is still starting
        if time.monotonic() > until:
            raise EmbeddedFailed(f"no server came up in {folder} (see the logs there)")
    return ""


def _leave(holding: int, folder: Path) -> None:
    """Let go; the last holder waits until the server has stopped."""
    keeper = _keeper(folder)
    alone = _try_lock(holding, fcntl.LOCK_EX) or not _try_lock(holding, fcntl.LOCK_SH)
    os.close(holding)
    until = time.monotonic() + GONE_SECONDS
    while alone and time.monotonic() < until and is_locked(folder / "keeping"):
        if _keeper(folder) not in {keeper, ""}:
            break  # another process has started it anew
        time.sleep(0.02)
    for each in _keepers:
        if alone and str(each.pid) == keeper:
            each.wait(GONE_SECONDS)
    _keepers[:] = [each for each in _keepers if each.poll() is None]


def _keeper(folder: Path) -> str:
    try:
        return str(json.loads((folder / "address").read_text())["keeper"])
    except FileNotFoundError:
        return ""


def _try_lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether another process holds this file exclusively; a file that does not exist is not held."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)
