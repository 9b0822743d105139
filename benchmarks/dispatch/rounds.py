"""The client alone and a worker in turns; then the backlog. What is counted stands in the partner's own log."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks import machine
from benchmarks.dispatch.stage import Stage, Waiting
from benchmarks.progress_lookup.rounds import waited_for

CUT = 0.05
"""Share of the log that is left out at both ends: starting and running dry are not what is measured."""
PATIENCE = 900.0
Say = Callable[[str], None]

_ENDED = """
SELECT count(*) FILTER (WHERE waiting) AS waiting, count(*) FILTER (WHERE state = 'sent') AS sent,
       count(*) FILTER (WHERE state NOT IN ('sent', 'pending', 'leased')) AS otherwise FROM messages
"""
_UNCERTAIN = "SELECT count(*) FROM message_attempts WHERE outcome IS NULL OR outcome IN ('uncertain', 'late')"


@contextmanager
def partner(stage: Stage, milliseconds: float) -> Iterator[None]:
    """The partner as a process."""
    command = [sys.executable, "-m", "benchmarks.dispatch.partner", str(stage.partner_port), str(milliseconds)]
    with _running([command], stage) as [process]:
        waited_for(process, stage.partner_port, "the partner")
        yield


@contextmanager
def workers(stage: Stage, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many `zhangban work`, as they are deployed."""
    with _running([[sys.executable, "-m", "api.cli", "work"]] * count, stage) as processes:
        yield processes


@contextmanager
def _running(commands: Sequence[list[str]], stage: Stage) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen(each, env=stage.environment, start_new_session=True) for each in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def measure(stage: Stage, asked: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Rounds of both, the order changing; then the backlog."""
    taken: dict[str, list[dict[str, float]]] = {"alone": [], "worker": []}
    for number in range(-1, asked.rounds):
        turns = [_alone, _worker] if number % 2 else [_worker, _alone]
        for turn in turns:
            name, one = turn(stage, asked)
            if number >= 0:  # the first round warms up
                taken[name].append(one)
                say(f"round {number + 1}/{asked.rounds} {name}: {one['per_second']:.0f}/s, {one['cpu_us']:.0f} µs CPU")
    ratios = [w["per_second"] / a["per_second"] for w, a in zip(taken["worker"], taken["alone"], strict=True)]
    result: dict[str, Any] = {
        "programs": {name: _summed(each) for name, each in taken.items()},
        "ratio": statistics.median(ratios),
    }
    if asked.backlog:
        result["backlog"] = drained(stage, asked, say)
    return result


def _alone(stage: Stage, asked: argparse.Namespace) -> tuple[str, dict[str, float]]:
    order = {"count": asked.messages, "people": len(stage.residents), "at_once": asked.at_once}
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.dispatch.alone"], env=stage.environment,
        input=json.dumps(order).encode(), capture_output=True, check=True,
    )  # fmt: skip
    return "alone", _figures(stage.log(), json.loads(ran.stdout)["cpu"], asked.messages)


def _worker(stage: Stage, asked: argparse.Namespace) -> tuple[str, dict[str, float]]:
    with workers(stage, 1) as [process]:
        _until_it_works(stage)
        before = machine.cpu_seconds(process.pid) or 0.0
        made = asyncio.run(stage.queue(asked.messages, residents=asked.messages))
        _until_nothing_waits(stage)
        used = (machine.cpu_seconds(process.pid) or 0.0) - before
    log = stage.log()
    _check(log, made, stage)
    return "worker", _figures(log, used, asked.messages)


def _figures(log: dict[str, Any], cpu: float, count: int) -> dict[str, float]:
    times = [at for at, _, _ in log["sent"]]
    cut = int(len(times) * CUT)
    middle = times[cut : len(times) - cut]
    return {"per_second": (len(middle) - 1) / (middle[-1] - middle[0]), "cpu_us": cpu / count * 1e6}


def _summed(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {
        "per_second": statistics.median(each["per_second"] for each in rounds),
        "per_second_lowest": min(each["per_second"] for each in rounds),
        "per_second_highest": max(each["per_second"] for each in rounds),
        "cpu_us": statistics.median(each["cpu_us"] for each in rounds),
    }


def drained(stage: Stage, asked: argparse.Namespace, say: Say) -> dict[str, Any]:
    """What a long outage leaves: all of it waits when the workers come; how long it takes, and what the log proves."""
    made = asyncio.run(stage.queue(asked.backlog, residents=asked.backlog // asked.each))
    say(f"{len(made)} messages wait")
    began = time.perf_counter()
    with workers(stage, asked.workers):
        _until_nothing_waits(stage)
        took = time.perf_counter() - began
    log = stage.log()
    proof = _check(log, made, stage)
    times = [at for at, _, _ in log["sent"]]
    say(f"drained in {took:.1f} s")
    return {"messages": len(made), "seconds": took, "per_second": len(times) / (times[-1] - times[0]), **proof}


def _check(log: dict[str, Any], made: list[Waiting], stage: Stage) -> dict[str, int]:
    """What the log says: lost, more than once, out of order, two at once to one person. And what the books say."""
    wanted: dict[str, list[str]] = {}
    for each in made:
        wanted.setdefault(each.openid, []).append(str(each.id))
    got: dict[str, list[str]] = {}
    for _, openid, message in log["sent"]:
        got.setdefault(openid, []).append(message)
    books = asyncio.run(_books(stage))
    return {
        "lost": sum(len(set(ids) - set(got.get(openid, []))) for openid, ids in wanted.items()),
        "twice": sum(len(ids) - len(set(ids)) for ids in got.values()),
        "foreign": sum(len(set(ids) - set(wanted.get(openid, []))) for openid, ids in got.items()),
        "out_of_order": sum(list(dict.fromkeys(got.get(openid, []))) != ids for openid, ids in wanted.items()),
        "at_once": log["overlaps"],
        **books,
    }


async def _books(stage: Stage) -> dict[str, int]:
    owner = await stage.owner()
    try:
        row = await owner.fetchrow(_ENDED)
        uncertain = await owner.fetchval(_UNCERTAIN)
    finally:
        await owner.close()
    return {"waiting": row["waiting"], "not_sent": row["otherwise"], "uncertain": uncertain}


def _until_it_works(stage: Stage, patience: float = 60.0) -> None:
    """Wait until a worker has taken a job: one message to one resident, which is not counted."""
    asyncio.run(stage.queue(1, residents=1))
    _until_nothing_waits(stage, patience)
    stage.log()


def _until_nothing_waits(stage: Stage, patience: float = PATIENCE) -> None:
    asyncio.run(_nothing_waits(stage, patience))


async def _nothing_waits(stage: Stage, patience: float) -> None:
    deadline = time.monotonic() + patience
    owner = await stage.owner()
    try:
        while await owner.fetchval("SELECT EXISTS (SELECT FROM messages WHERE waiting)"):
            if time.monotonic() > deadline:
                raise TimeoutError("messages are still waiting")
            await asyncio.sleep(0.2)
    finally:
        await owner.close()
