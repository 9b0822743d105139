"""How the tests themselves are run."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import FIRST, TOGETHER, unit_of

ROOT = Path(__file__).parents[2]


def test_what_shares_whole_processes_is_run_by_one_worker_and_everything_else_by_the_next_free():
    shared = {unit_of(f"{file}::test_{n}[x@y]") for file in TOGETHER for n in range(3)}
    others = {unit_of(f"tests/house/test_suite.py::test_{n}") for n in range(3)}

    assert shared == set(TOGETHER)
    assert len(others) == 3


def test_what_begins_first_exists():
    assert all((ROOT / file).is_file() for file in FIRST)
    assert set(TOGETHER) <= set(FIRST)
