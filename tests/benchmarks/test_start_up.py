"""The start-up benchmark compares within a round, leaves Python's own time out, and misses a goal that is missed."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks.start_up.__main__ import APPLICATION, FRAMEWORKS, MIGRATE, cpu_seconds, goals, summary


def test_ratios_are_taken_within_a_round_beyond_python_itself():
    result = summary(0.1, {FRAMEWORKS: [0.3, 0.5, 0.3], APPLICATION: [0.5, 0.9, 0.7]})

    assert result["ratios"][APPLICATION] == pytest.approx(2.0)
    assert result["programs"][FRAMEWORKS]["cpu_seconds"] == pytest.approx(0.2)


def test_without_the_limit_no_ratio_is_made_up():
    result = summary(0.1, {MIGRATE: [0.5]})

    assert (result["ratios"], goals(result)) == ({}, [])


@pytest.mark.parametrize(("seconds", "kept"), [(0.59, True), (0.61, False)])
def test_the_goal_of_imports_is_two_and_a_half_times_the_frameworks(seconds: float, kept: bool):
    result = summary(0.1, {FRAMEWORKS: [0.3], APPLICATION: [seconds]})

    assert [goal.kept for goal in goals(result) if "application" in goal.what] == [kept]


def test_the_time_of_a_process_that_worked_is_counted_and_a_failure_is_no_figure():
    assert cpu_seconds(("-c", "sum(range(3_000_000))"), {}) > cpu_seconds(("-c", "pass"), {})
    with pytest.raises(subprocess.CalledProcessError):
        cpu_seconds(("-c", "raise SystemExit(3)"), {})
