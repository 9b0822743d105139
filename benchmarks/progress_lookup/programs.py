"""The three programs: that they give the same answers, and how many of them."""

from __future__ import annotations

import argparse
import http.client
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rounds import in_turns
from benchmarks.servers import Servers

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


def agree(servers: Servers, samples: Sequence[str]) -> None:
    """Check that every program gives every sample the same answer, and no answer to a stranger.

    Raises AssertionError when one does not: figures of different work compare nothing.
    """
    for number, line in enumerate(samples):
        answers = {name: _asked(port, line) for name, port in servers.ports.items()}
        said = {name: (status, _plain(json.loads(body))) for name, (status, body) in answers.items()}
        first = next(iter(said.values()))
        assert first[0] == 200, first
        assert all(each == first for each in said.values()), said
        stranger = samples[number - 1].partition("authorization:")[2]
        theirs = line.partition("authorization:")[0] + "authorization:" + stranger
        statuses = {name: _asked(port, theirs)[0] for name, port in servers.ports.items()}
        assert set(statuses.values()) == {404}, statuses
        forged = {name: _asked(port, line.replace("Bearer ", "Bearer x"))[0] for name, port in servers.ports.items()}
        assert set(forged.values()) == {401}, forged


def _asked(port: int, line: str) -> tuple[int, bytes]:
    """Send one of the requests by hand."""
    head, _, _ = line.partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", first.split(" ")[1], headers=dict(header.split(": ", 1) for header in headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _plain(value: Any) -> Any:
    """An answer without differences of spelling: a moment may end in Z or +00:00."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str) and len(value) > 18 and value[10:11] == "T":
        return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return value


def measure(servers: Servers, requests: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Ask the programs in turns."""
    load = {name: getattr(asked, name) for name in ("connections", "seconds", "warm_up")}

    def once(name: str, number: int) -> dict[str, Any]:
        one, used = servers.generated("benchmarks.load", name, {**load, "requests": str(requests), "seed": number})
        if used is not None:
            # The warm-up costs at the same rate; the share of the counted time is what we want.
            share = asked.seconds / (asked.seconds + asked.warm_up)
            one["cpu_us"] = used * share / max(1, one["requests"]) * 1e6
        return one

    return in_turns(servers.names, asked.rounds, once)
