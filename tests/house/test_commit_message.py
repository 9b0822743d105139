"""The hook that reads subjects of commits accepts those that can be searched, and names the fault of others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from requirements.commit_message import LONGEST, faults, main
from tests.house.reading import HOUSE


@pytest.mark.parametrize(
    "message",
    [
        "Reject notices with a stale timestamp",
        "Seed the sample halls\n\nThe demo needs a hall at each level.\n",
        "Pass numbers of ours that a department used by itself\n# Please enter the commit message\n",
        'Revert "' + "x" * 70 + '"',
    ],
)
def test_an_imperative_subject_of_one_line_passes(message: str):
    assert faults(message) == []


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("x" * (LONGEST + 1), "characters"),
        ("Reject stale notices.", "full stop"),
        ("reject stale notices", "capital"),
        ("", "capital"),
        ("Shortened two settings", "imperative"),
        ("Shortening two settings", "imperative"),
        ("Rejects stale notices", "imperative"),
        ("A yes in the settings allows nothing", "imperative"),
        ("Reject stale notices\nThey are replayed", "empty line"),
    ],
)
def test_the_fault_of_a_subject_is_named(message: str, fault: str):
    assert any(fault in each for each in faults(message))


def test_the_hook_fails_on_a_fault_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    message = tmp_path / "COMMIT_EDITMSG"

    message.write_text("Name the couriers\n")
    assert main(str(message)) == 0
    message.write_text("Named the couriers\n")
    assert main(str(message)) == 1

    assert "'Named'" in capsys.readouterr().err


def test_the_hooks_are_local_and_run_what_exists():
    configured = (HOUSE / ".pre-commit-config.yaml").read_text()

    assert re.findall(r"repo: (\S+)", configured) == ["local"]
    assert re.findall(r"- id: (\S+)", configured) == ["ruff-check", "ruff-format", "commit-message"]
    entries = re.findall(r"entry: (.+)", configured)
    assert all(each.startswith(".venv/bin/") for each in entries)
    assert [each for each in re.findall(r"[\w/]+\.py", " ".join(entries)) if not (HOUSE / each).exists()] == []
