"""The client alone and a worker in turns; then the backlog. What is counted stands in the partner's own log."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import machine
from benchmarks.command import say
from benchmarks.databases import found, until_none
from benchmarks.dispatch.report import proofs
from benchmarks.dispatch.stage import Stage, Waiting
from benchmarks.processes import run_module, running, waited_for
from benchmarks.rounds import in_turns

CUT = 0.05
"""Share of the log that is left out at both ends: starting and running dry are not what is measured."""
PATIENCE = 900.0
WORKER = ("-m", "api.cli", "work")

_ENDED = """
SELECT count(*) FILTER (WHERE waiting), count(*) FILTER (WHERE state NOT IN ('sent', 'pending', 'leased')),
    (SELECT count(*) FROM message_attempts WHERE outcome IS NULL OR outcome IN ('uncertain', 'late')) FROM messages
"""


@contextmanager
def partner(stage: Stage, milliseconds: float) -> Iterator[None]:
    """The partner as a process."""
    command = ("-m", "benchmarks.dispatch.partner", str(stage.partner_port), str(milliseconds))
    with running([command], stage.environment) as [process]:
        waited_for(process, stage.partner_port, "the partner")
        yield


def measure(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """Rounds of both."""

    def once(name: str, _: int) -> dict[str, Any]:
        return _alone(stage, asked) if name == "bare" else _worker(stage, asked)

    return in_turns(["bare", "ours"], asked.rounds, once)


def _alone(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    order = {"count": asked.messages, "people": len(stage.residents), "at_once": asked.at_once}
    used = run_module("benchmarks.dispatch.alone", order, stage.environment)["cpu"]
    return _figures(stage.log(), used, asked.messages)


def _worker(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """A round of the worker. Raises RuntimeError when it lost one, or sent one twice or out of order."""
    with running([WORKER], stage.environment) as [process]:
        # It works when one message has gone to one resident, which is not counted.
        asyncio.run(stage.queue(1, residents=1))
        _until_nothing_waits(stage, 60.0)
        stage.log()
        before = machine.cpu_seconds(process.pid) or 0.0
        made = asyncio.run(stage.queue(asked.messages, residents=asked.messages))
        _until_nothing_waits(stage, PATIENCE)
        used = (machine.cpu_seconds(process.pid) or 0.0) - before
    log = stage.log()
    proof = check(log, made, asyncio.run(_books(stage)))
    if not all(goal.kept for goal in proofs(proof, "a round")):
        raise RuntimeError(f"the worker did not send what it should: {proof}")
    return _figures(log, used, asked.messages)


def _figures(log: dict[str, Any], cpu: float, count: int) -> dict[str, Any]:
    times = [at for at, _, _ in log["sent"]]
    cut = int(len(times) * CUT)
    middle = times[cut : len(times) - cut]
    return {"per_second": (len(middle) - 1) / (middle[-1] - middle[0]), "cpu_us": cpu / count * 1e6}


def drained(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """What a long outage leaves: all of it waits when the workers come; how long it takes, and what the log proves."""
    made = asyncio.run(stage.queue(asked.backlog, residents=asked.backlog // asked.each))
    say(f"{len(made)} messages wait")
    began = time.perf_counter()
    with running([WORKER] * asked.workers, stage.environment):
        _until_nothing_waits(stage, PATIENCE)
        took = time.perf_counter() - began
    log = stage.log()
    times = [at for at, _, _ in log["sent"]]
    say(f"drained in {took:.1f} s")
    proof = check(log, made, asyncio.run(_books(stage)))
    return {"messages": len(made), "seconds": took, "per_second": len(times) / (times[-1] - times[0]), **proof}


def check(log: dict[str, Any], made: list[Waiting], books: dict[str, int]) -> dict[str, int]:
    """Counts from the log (lost, more than once, out of order, two at once to one person) and from the database."""
    wanted: dict[str, list[str]] = {}
    for each in made:
        wanted.setdefault(each.openid, []).append(str(each.id))
    got: dict[str, list[str]] = {}
    for _, openid, message in log["sent"]:
        got.setdefault(openid, []).append(message)
    return {
        "lost": sum(len(set(ids) - set(got.get(openid, []))) for openid, ids in wanted.items()),
        "twice": sum(len(ids) - len(set(ids)) for ids in got.values()),
        "foreign": sum(len(set(ids) - set(wanted.get(openid, []))) for openid, ids in got.items()),
        "out_of_order": sum(list(dict.fromkeys(got.get(openid, []))) != ids for openid, ids in wanted.items()),
        "at_once": log["overlaps"],
        **books,
    }


async def _books(stage: Stage) -> dict[str, int]:
    ((waiting, not_sent, uncertain),) = await found(stage.urls, _ENDED)
    return {"waiting": waiting, "not_sent": not_sent, "uncertain": uncertain}


def _until_nothing_waits(stage: Stage, patience: float) -> None:
    asyncio.run(until_none(stage.urls, "SELECT FROM messages WHERE waiting", patience))
