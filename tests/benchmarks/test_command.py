"""What benchmarks share: options are checked first, a missed goal is reported, no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.embedded import Urls
from benchmarks import __main__ as benchmarks
from benchmarks import command, processes, reports
from benchmarks.reports import Goal
from benchmarks.rounds import in_turns

MACHINE = {
    "commit": "abc", "processor": "p", "cores": 4, "memory_gb": 8, "system": "s", "python": "3", "packages": {},
    "load_before": [1.0],
}  # fmt: skip


def test_a_name_that_is_none_runs_nothing_and_shows_the_names(capsys: pytest.CaptureFixture[str]):
    assert benchmarks.main(["bookings", "--quick"]) == 2

    said = capsys.readouterr().err
    assert "No benchmark is named bookings." in said
    assert all(name in said for name in ("progress_lookup", "booking", "payment_callback", "courier_push", "dispatch"))


@pytest.mark.parametrize(
    "options",
    [
        ["--cases", "5"],
        ["--docs", "README.md"],
        ["--quick", "--docs", "docs/performance.md"],
        ["--only", "ours", "--docs", "docs/performance.md"],
    ],
)
def test_options_that_make_no_sense_end_it_before_anything_runs(monkeypatch: pytest.MonkeyPatch, options: list[str]):
    ran: list[str] = []
    monkeypatch.setattr(benchmarks, "run", lambda benchmark, asked: ran.append(benchmark.name))

    with pytest.raises(SystemExit) as ended:
        benchmarks.main(["payment_callback", *options])

    assert (ended.value.code, ran) == (2, [])


@pytest.mark.parametrize(
    ("goal", "options", "status"),
    [
        (Goal("counted", kept=True), [], 0),
        (Goal("counted", kept=False), ["--quick"], 1),
        (Goal("timed", kept=False, timed=True), [], 1),
        (Goal("timed", kept=False, timed=True), ["--quick"], 0),
    ],
)
def test_a_missed_goal_is_reported_and_decides(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    goal: Goal,
    options: list[str],
    status: int,
):
    @contextmanager
    def servers(*_: Any, **__: Any) -> Any:
        yield Urls()

    monkeypatch.setattr(command.embedded, "servers", servers)
    monkeypatch.setattr(command.processes, "end_orderly", lambda: None)
    benchmark = command.Benchmark(
        name="one", options={}, quick={}, play=lambda *_: {}, goals=lambda _: [goal],
        table=lambda result: "\n".join(reports.ending(result, "so")), parts=(),
    )  # fmt: skip

    assert command.run(benchmark, command.parsed(benchmark, options)) == status

    said = capsys.readouterr()
    assert (f"- **not kept**: {goal.what}" in said.out) is (not goal.kept)
    assert (f"NOT KEPT: {goal.what}" in said.err) is (not goal.kept)


def test_programs_take_turns_and_a_first_round_is_thrown_away():
    asked: list[tuple[str, int]] = []
    rates = {"bare": 1000.0, "ours": 600.0}

    def once(name: str, number: int) -> dict[str, Any]:
        asked.append((name, number))
        return {"per_second": 1.0 if number < 0 else rates[name] * (number + 1), "p99_ms": 2.0}

    reported = in_turns(["bare", "ours"], 2, once)

    assert [name for name, number in asked if number == 0] == ["bare", "ours"]
    assert [name for name, number in asked if number == 1] == ["ours", "bare"]
    assert reported["ratios"] == {"ours/bare": 0.6}
    assert (reported["programs"]["ours"]["per_second"], reported["programs"]["ours"]["per_second_lowest"]) == (
        900.0,
        600.0,
    )


def test_the_result_replaces_the_one_before(tmp_path: Path):
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- one: begin -->\nold\n<!-- one: end -->\nafter\n")
    one = {"per_second": 1000.0, "per_second_lowest": 900.0, "per_second_highest": 1100.0, "p50_ms": 1.0}
    one |= {"p99_ms": 2.0, "cpu_us": None, "generator_busy": 0.25}
    result = {"programs": {"bare": one, "ours": one}, "ratios": {"ours/bare": 1.0}, "goals": [], "at": "now"}
    titles = {"bare": "the limit", "ours": "Zhangban"}
    lines = reports.programs(result, titles, "push", "pushes") + reports.ending({**result, "machine": MACHINE}, "so")

    reports.write_into(document, "one", "\n".join(lines))

    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| Zhangban | 1,000 (900 to 1,100) | 1.00 | 1.0 | 2.0 | – |" in text
    assert "busy for at most 25% of its time" in text
    with pytest.raises(ValueError, match="no place"):
        reports.write_into(document, "two", "x")


CHILD = "import os, time; os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)"
PARENT = f"""
import os, time
from benchmarks import processes
processes.end_orderly()
try:
    with processes.running([("-c", {CHILD!r})] * 2, os.environ):
        time.sleep(60)
finally:
    print("left", flush=True)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_ending_a_benchmark_ends_its_processes(number: signal.Signals):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(map(alive, children))

        parent.send_signal(number)
        said = parent.stdout.read()

    until = time.monotonic() + 10
    while any(map(alive, children)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, children))
    assert ("left" in said) is (number is not signal.SIGKILL)


def test_a_process_that_does_not_listen_is_killed_with_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "GOODBYE", 0.2)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )

    with processes.running([("-c", deaf), ("-c", "import time; time.sleep(60)")], os.environ) as running:
        time.sleep(0.5)

    assert [process.returncode for process in running] == [-signal.SIGKILL, -signal.SIGTERM]
