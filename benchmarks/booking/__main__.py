"""`python -m benchmarks.booking`: the ceiling of `book` beside the bare program, then the release. `--quick` for CI."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from backend import embedded
from benchmarks import machine
from benchmarks.booking import release, report
from benchmarks.booking.stage import Stage, add_slots, set_stage

PEOPLE_A_RUN = 40_000
QUICK = {"rounds": 1, "seconds": 2.0, "rush_rate": 100.0, "rush_seconds": 4.0, "people": 200, "places": 20}


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.booking")
    parser.add_argument("--quick", action="store_true", help="small enough for CI; figures mean little")
    parser.add_argument("--only", choices=("ceiling", "release"), help="measure only this")
    parser.add_argument("--workers", type=int, default=8, help="bookings at once in the closed loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--base-rate", type=float, default=30.0)
    parser.add_argument("--rush-rate", type=float, default=400.0)
    parser.add_argument("--rush-seconds", type=float, default=20.0)
    parser.add_argument("--people", type=int, default=4_000)
    parser.add_argument("--places", type=int, default=200)
    parser.add_argument("--slots", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2, help="serving processes in the release")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--docs", type=Path, help="replace the result in this document")
    asked = parser.parse_known_args(given)[0]
    if asked.quick:
        vars(asked).update(QUICK)
    return asked


def say(line: str) -> None:
    """Progress, for whoever waits."""
    print(f"· {line}", file=sys.stderr, flush=True)


async def ceiling(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """Both programs in turns on one slot and on a thousand; ratios are medians of those within a round."""
    many = [str(each) for each in await add_slots(stage, 1_000, 1_000_000)]
    taken: dict[str, dict[str, list[dict[str, Any]]]] = {}
    run = 0
    for number in range(asked.rounds):
        for name, slots in (("hot", many[:1]), ("many", many)):
            for program in ("bare", "ours") if number % 2 == 0 else ("ours", "bare"):
                one = _once(stage, asked, program, slots, run)
                run += 1
                taken.setdefault(name, {}).setdefault(program, []).append(one)
                say(f"round {number + 1}/{asked.rounds} {name} {program}: {one['per_second']:.0f}/s")
    return {name: _summed(each) for name, each in taken.items()}


def _once(stage: Stage, asked: argparse.Namespace, program: str, slots: list[str], run: int) -> dict[str, Any]:
    order = {
        "program": program,
        "database_url": stage.urls.database_url,
        "place": str(stage.place),
        "slots": slots,
        "workers": asked.workers,
        "warm_up": 1.0,
        "seconds": asked.seconds,
        "seed": run,
        "offset": run * PEOPLE_A_RUN,
        "people": PEOPLE_A_RUN,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.booking.ceiling"],
        input=json.dumps(order).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    one: dict[str, Any] = json.loads(ran.stdout)
    return one


def _summed(programs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def of(program: str) -> dict[str, float]:
        rates = [each["per_second"] for each in programs[program]]
        rest = {
            key: statistics.median(each[key] for each in programs[program]) for key in ("p50_ms", "p99_ms", "cpu_us")
        }
        return {"per_second": statistics.median(rates), "lowest": min(rates), "highest": max(rates), **rest}

    pairs = zip(programs["ours"], programs["bare"], strict=True)
    ratio = statistics.median(ours["per_second"] / bare["per_second"] for ours, bare in pairs)
    return {"bare": of("bare"), "ours": of("ours"), "ratio": ratio}


async def measure(urls: embedded.Urls, asked: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for."""
    runs = 0 if asked.only == "release" else asked.rounds * 4
    stage = await set_stage(urls, runs * PEOPLE_A_RUN + asked.people)
    result: dict[str, Any] = {"benchmark": "booking", "at": datetime.now(UTC).isoformat(timespec="seconds")}
    result |= {"ceiling": {}, "verdicts": {}, "load": {key: vars(asked)[key] for key in vars(asked) if key != "docs"}}
    if asked.only != "release":
        result["ceiling"] = await ceiling(stage, asked)
        for name, each in result["ceiling"].items():
            result["verdicts"][f"{report.TITLES[name]}: at least half of the bare program"] = each["ratio"] >= 0.5
    if asked.only != "ceiling":
        say("the release")
        result["release"] = await release.play(stage, asked)
        result["verdicts"] |= release.verdicts(result["release"], asked)
    return result


def main(given: list[str]) -> int:
    """Run it; 0 when what was promised was kept. With `--quick` only counts decide, not times."""
    asked = arguments(given)
    where = machine.described()
    with tempfile.TemporaryDirectory(prefix="zbb-") as folder:
        os.chmod(folder, 0o755)  # started by root, PostgreSQL runs as somebody else
        with embedded.servers(folder, durable=True) as urls:
            result = {**asyncio.run(measure(urls, asked)), "machine": where}
    print(report.table(result))
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result, enc_hook=str)) + b"\n")
    if asked.docs:
        report.write_into(asked.docs, result)
    counted = ("exactly", "no answer", "a server that stops")
    return int(
        not all(well for what, well in result["verdicts"].items() if not asked.quick or what.startswith(counted))
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
