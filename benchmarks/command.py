"""What every benchmark does alike: its command line, servers of its own, the report, the exit status."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from backend import embedded
from benchmarks import machine, processes, reports

Result = dict[str, Any]


class Benchmark(NamedTuple):
    """One benchmark: its options with their defaults, how it is played, and how its result reads."""

    name: str
    options: Mapping[str, tuple[Any, str]]
    quick: Mapping[str, Any]
    """What `--quick` changes."""
    play: Callable[[argparse.Namespace, embedded.Urls, Path], Result]
    """What was measured on these servers; the folder is for files of the benchmark."""
    goals: Callable[[Result], list[reports.Goal]]
    table: Callable[[Result], str]
    parts: Sequence[str]
    """What `--only` can name."""
    durable: bool = True
    """Whether the servers keep what is written, as in production; for reads it does not matter."""


def say(line: str) -> None:
    """Show progress."""
    print(f"· {line}", file=sys.stderr, flush=True)


def parsed(benchmark: Benchmark, given: Sequence[str]) -> argparse.Namespace:
    """What the command line says; ends the process when it makes no sense."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {benchmark.name}")
    parser.add_argument("--quick", action="store_true", help="small enough for CI; figures mean little")
    for option, (default, what) in benchmark.options.items():
        shown = f"{what} ({default:g})".strip()
        parser.add_argument(f"--{option.replace('_', '-')}", type=type(default), default=default, help=shown)
    parser.add_argument("--only", choices=benchmark.parts, action="append", help="measure only these")
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="write the result into this folder, too")
    parser.add_argument("--docs", type=Path, metavar="DOCUMENT", help="replace the result in this document")
    asked = parser.parse_args(given)
    if asked.docs and (asked.quick or asked.only):
        parser.error("--docs wants the whole: neither --quick nor --only")
    if asked.docs:
        try:
            reports.around(asked.docs, benchmark.name)
        except ValueError as error:
            parser.error(str(error))
    if asked.quick:
        vars(asked).update(benchmark.quick)
    asked.only = asked.only or list(benchmark.parts)
    return asked


def run(benchmark: Benchmark, asked: argparse.Namespace) -> int:
    """Play it and report; 0 when every goal was kept. With `--quick` what is counted decides, not what is timed."""
    processes.end_orderly()
    result: Result = {
        "benchmark": benchmark.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.described(),
        "load": {name: getattr(asked, name) for name in (*benchmark.options, "only")},
    }
    with tempfile.TemporaryDirectory(prefix="zbb-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, PostgreSQL runs as another user
        with embedded.servers(folder, durable=benchmark.durable) as urls:
            result |= benchmark.play(asked, urls, folder)
    goals = result["goals"] = benchmark.goals(result)
    table = benchmark.table(result)
    print(table)
    if asked.json:
        asked.json.mkdir(parents=True, exist_ok=True)
        written = msgspec.json.format(msgspec.json.encode(result))
        (asked.json / f"{benchmark.name}.json").write_bytes(written + b"\n")
    if asked.docs:
        reports.write_into(asked.docs, benchmark.name, table)
    missed = [goal for goal in goals if not goal.kept]
    for goal in missed:
        say(f"NOT KEPT: {goal.what}")
    return int(any(not (asked.quick and goal.timed) for goal in missed))


def main(benchmark: Benchmark) -> int:
    """`python -m benchmarks.NAME`."""
    return run(benchmark, parsed(benchmark, sys.argv[1:]))
