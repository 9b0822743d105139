"""The three programs on the same server with the same options, asked in turns."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import machine
from benchmarks.progress_lookup.stage import Stage

PROGRAMS = {
    "bare": "benchmarks.progress_lookup.bare:application",
    "ours": "api.app:application",
    "usual": "benchmarks.progress_lookup.usual:application",
}
TITLES = {
    "bare": "bare ASGI + asyncpg, tuned (the limit)",
    "ours": "Zhangban",
    "usual": "FastAPI + SQLAlchemy 2 + pydantic",
}
OPTIONS = (
    "--factory", "--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "on", "--no-access-log",
    "--no-server-header", "--no-proxy-headers", "--log-level", "warning", "--timeout-keep-alive", "75",
)  # fmt: skip


def free_port() -> int:
    """One that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def waited_for(process: subprocess.Popen[bytes], port: int, name: str, patience: float = 60) -> None:
    """Wait until somebody answers on the port. Raises RuntimeError when the process ends or nobody does in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} did not start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{name} does not answer")


class Servers:
    """One process per program."""

    def __init__(self, stage: Stage, names: list[str]) -> None:
        self.stage, self.names = stage, names
        self.ports = {name: free_port() for name in names}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Servers:
        for name in self.names:
            command = [sys.executable, "-m", "uvicorn", PROGRAMS[name], *OPTIONS, "--port", str(self.ports[name])]
            self.processes[name] = subprocess.Popen(command, env=self.stage.environment, cwd=Path.cwd())
        try:
            for name in self.names:
                waited_for(self.processes[name], self.ports[name], name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()

    def ask(self, name: str, line: str) -> tuple[int, bytes]:
        """Send one of the requests by hand."""
        head, _, _ = line.partition("\r\n\r\n")
        first, *headers = head.split("\r\n")
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=10)
        try:
            pairs = dict(header.split(": ", 1) for header in headers)
            connection.request("GET", first.split(" ")[1], headers=pairs)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def agree(self) -> None:
        """Check that every program gives every sample the same answer, and no answer to a stranger.

        Raises AssertionError when one does not: figures of different work compare nothing.
        """
        for number, line in enumerate(self.stage.samples):
            answers = {name: self.ask(name, line) for name in self.names}
            said = {name: (status, _plain(json.loads(body))) for name, (status, body) in answers.items()}
            first = next(iter(said.values()))
            assert first[0] == 200, first
            assert all(each == first for each in said.values()), said
            stranger = self.stage.samples[number - 1].partition("authorization:")[2]
            theirs = line.partition("authorization:")[0] + "authorization:" + stranger
            statuses = {name: self.ask(name, theirs)[0] for name in self.names}
            assert set(statuses.values()) == {404}, statuses
            forged = {name: self.ask(name, line.replace("Bearer ", "Bearer x"))[0] for name in self.names}
            assert set(forged.values()) == {401}, forged


def _plain(value: Any) -> Any:
    """An answer without differences of spelling: a moment may end in Z or +00:00."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str) and len(value) > 18 and value[10:11] == "T":
        return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return value


def measure(
    servers: Servers, asked: argparse.Namespace, where: dict[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """Ask the programs in turns; the order changes from round to round, so that nobody always goes first."""
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in servers.names}
    for name in servers.names:
        # Thrown away: every token is seen once, statements are prepared, pages are in memory.
        _once(servers, name, asked, -1)
    for number in range(asked.rounds):
        turn = number % len(servers.names)
        for name in servers.names[turn:] + servers.names[:turn]:
            one = _once(servers, name, asked, number)
            taken[name].append(one)
            say(f"round {number + 1}/{asked.rounds} {name}: {one['per_second']:.0f}/s, p99 {one['p99_ms']:.1f} ms")
    programs = {name: _summed(each) for name, each in taken.items()}
    return {
        "benchmark": "progress_lookup",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": where,
        "load": {
            "cases": asked.cases,
            "residents_asking": asked.residents,
            "connections": asked.connections,
            "pool": asked.pool,
            "rounds": asked.rounds,
            "seconds": asked.seconds,
            "warm_up": asked.warm_up,
            "server": "uvicorn " + " ".join(OPTIONS),
        },
        "programs": programs,
        "ratios": _ratios(taken),
        "rounds": taken,
    }


def _once(servers: Servers, name: str, asked: argparse.Namespace, number: int) -> dict[str, Any]:
    order = {
        "host": "127.0.0.1",
        "port": servers.ports[name],
        "requests": str(servers.stage.requests),
        "connections": asked.connections,
        "seconds": asked.seconds,
        "warm_up": asked.warm_up,
        "seed": number,
    }
    pid = servers.processes[name].pid
    before = machine.cpu_seconds(pid)
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], input=json.dumps(order).encode(), capture_output=True, check=True
    )
    after = machine.cpu_seconds(pid)
    one: dict[str, Any] = json.loads(ran.stdout)
    if before is not None and after is not None:
        # The warm-up costs at the same rate; the share of the counted time is what we want.
        share = asked.seconds / (asked.seconds + asked.warm_up)
        one["cpu_us"] = (after - before) * share / max(1, one["requests"]) * 1e6
    return one


def _summed(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "per_second": statistics.median(each["per_second"] for each in rounds),
        "per_second_lowest": min(each["per_second"] for each in rounds),
        "per_second_highest": max(each["per_second"] for each in rounds),
        "p50_ms": statistics.median(each["p50_ms"] for each in rounds),
        "p99_ms": statistics.median(each["p99_ms"] for each in rounds),
        "cpu_us": statistics.median(each["cpu_us"] for each in rounds) if "cpu_us" in rounds[0] else None,
        "generator_busy": max(each["generator_busy"] for each in rounds),
        "requests": sum(each["requests"] for each in rounds),
        "failed": sum(each["failed"] for each in rounds),
    }


def _ratios(taken: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The median over the rounds of the ratio within a round: what disturbs the machine disturbs both."""

    def ratio(name: str, of: str) -> float:
        pairs = zip(taken[name], taken[of], strict=True)
        return statistics.median(one["per_second"] / other["per_second"] for one, other in pairs)

    return {
        f"{name}/{of}": ratio(name, of)
        for name, of in (("ours", "bare"), ("ours", "usual"), ("usual", "bare"))
        if name in taken and of in taken
    }
