"""`zhangban demo` as its users run it: real processes, and the data that it writes."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.running_demo import Process, alive, demo, descendants, started, until

pytestmark = pytest.mark.timeout(300)


def sent_messages(story: Any) -> Counter[tuple[str, str, str]]:
    """Who was notified of which report over which channel."""
    return Counter((each["who"], each["event"], each["channel"]) for each in story["messages"])


def states(story: Any) -> dict[str, str]:
    """What the last report of each case came to."""
    reported = [each for each in story["steps"] if "case" in each["facts"]]
    return {each["facts"]["case"]: each["result"] for each in reported}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The demo in good weather: the process, and its data."""
    return demo(folder=tmp_path_factory.mktemp("plain"))


# Python runs this at the start of each process: the worker takes its time, and the books' command has a log beside its
# answer, as on a machine that is busy with other things.
_BUSY = """
import sys, time
if sys.orig_argv[-3:-2] == ["work"]:
    time.sleep(3)
if "reconcile" in sys.orig_argv:
    print('{"level": "warning"}', file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def stormy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The demo with accidents, on a busy machine."""
    folder = tmp_path_factory.mktemp("stormy")
    (folder / "sitecustomize.py").write_text(_BUSY)
    return demo("--chaos", folder=folder, PYTHONPATH=str(folder))


def why(ended: subprocess.CompletedProcess[str]) -> str:
    """Why a demo did not end well, from the first line that says so: it is hard to find in a whole story."""
    said = (ended.stdout + ended.stderr).splitlines()
    bad = [number for number, line in enumerate(said) if re.search("✘|没有完成|Traceback", line)]
    return "\n".join(said[bad[0] if bad else -20 :])


def test_the_demo_ends_well_and_says_so(plain: tuple[Any, Any]):
    process, story = plain

    assert process.returncode == 0, why(process)
    assert story["ok"] is True
    assert process.stdout.startswith("掌办演示：")
    assert "全部一致" in process.stdout
    assert all(each in process.stdout for each in ("make demo ARGS=--keep", "/docs", "make test"))
    assert all(each["ok"] for each in story["checks"])
    assert {"不变式（check-invariants）", "审计链（verify-audit）"} <= {each["name"] for each in story["checks"]}


@pytest.mark.parametrize("weather", ["plain", "stormy"])
def test_a_visit_is_shown_from_booking_to_the_window_and_the_rush_in_numbers(
    weather: str, request: pytest.FixtureRequest
):
    _, story = request.getfixturevalue(weather)

    checks = {each["name"]: each["ok"] for each in story["checks"]}
    assert checks["预约、签到、叫号、办结走完"]
    assert checks["两块屏幕都看到同一次叫号"]
    assert checks["抢号不超发、不出错"]
    (rush,) = [each for each in story["steps"] if "answers" in each["facts"]]
    answers = {int(status): count for status, count in rush["facts"]["answers"].items()}
    assert answers[201] == 20
    assert sum(answers.values()) == 200
    assert answers.keys() <= {201, 409, 429}


def test_six_residents_are_notified_over_four_channels(plain: tuple[Any, Any]):
    _, story = plain

    ways = Counter(each["channel"] for each in story["messages"])

    assert ways == {"mini_program": 11, "official_account": 3, "sms": 2, "inbox": 6}
    assert [each["copies"] for each in story["messages"]] == [1] * 22
    assert len({each["who"] for each in story["messages"]}) == len(story["people"]) == 6


def test_a_resident_who_refuses_is_reached_only_in_the_inbox_and_the_follower_only_there(plain: tuple[Any, Any]):
    _, story = plain

    def ways(name: str) -> set[str]:
        return {each["channel"] for each in story["messages"] if each["who"] == name}

    assert ways("张敏") == {"inbox"}
    assert ways("赵国庆") == {"official_account"}
    assert ways("孙丽") == {"sms", "inbox"}
    assert ways("王秀英") == ways("李建国") == {"mini_program"}


def test_accidents_change_neither_the_states_nor_the_messages(plain: tuple[Any, Any], stormy: tuple[Any, Any]):
    process, story = stormy

    assert process.returncode == 0, why(process)
    assert any("SIGKILL" in each for each in story["faults"])
    assert any("FLUSHALL" in each for each in story["faults"])
    assert states(story) == states(plain[1])
    assert sent_messages(story) == sent_messages(plain[1])


def test_after_accidents_the_duplicates_are_counted_and_few(stormy: tuple[Any, Any]):
    _, story = stormy

    (bound,) = [each for each in story["checks"] if each["name"] == "重复送达不超过上限"]
    doubles = sum(each["copies"] - 1 for each in story["messages"])

    assert bound["ok"]
    assert doubles <= 7


def test_a_demo_that_gets_a_signal_leaves_no_process_behind():
    with started() as process:
        family = until(lambda: _with_service(process.pid))

        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 130
    until(lambda: not alive(family), seconds=20)


def test_a_demo_that_is_killed_takes_everything_with_it():
    with started() as process:
        family = until(lambda: _with_service(process.pid))

        process.kill()
        process.communicate(timeout=60)

    until(lambda: not alive(family), seconds=40)


def _with_service(process_id: int) -> dict[int, Process]:
    """The demo's family once its servers, the service and the sandbox are among it; empty before."""
    family = descendants(process_id)
    commands = " ".join(each.command for each in family.values())
    wanted = ("api.cli serve", "backend.partners.sandbox", "postgres", "valkey")
    return family if all(text in commands for text in wanted) else {}


def test_a_demo_that_cannot_go_on_says_why_and_fails(tmp_path: Path):
    # Python runs this at its start: a process that is to migrate refuses.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif '--migrate' in sys.orig_argv:\n    sys.exit('no migrations today')\n"
    )

    process, story = demo(folder=tmp_path, PYTHONPATH=str(tmp_path))

    assert process.returncode == 2
    assert "演示没有完成：seed" in process.stderr
    assert "no migrations today" in process.stderr
    assert story["ok"] is False
