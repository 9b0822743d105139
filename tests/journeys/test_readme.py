"""Every command of the README is run, and its Chinese twin says the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.running_demo import PATIENCE, started, until

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"

pytestmark = pytest.mark.timeout(300)


def blocks(name: str) -> list[str]:
    """The shell commands of a README, block by block."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)


def walk(name: str) -> list[str]:
    """The blocks that are typed one after the other while `make demo ARGS=--keep` runs."""
    return [each for each in blocks(name) if not each.startswith("make ")]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What a demo that stays up has written down."""
    file = tmp_path_factory.mktemp("kept") / "demo.json"
    with started("--keep", "--json", str(file)) as process:

        def written() -> Any:
            assert process.poll() is None, process.communicate()[0]
            return file.exists() and json.loads(file.read_text())

        yield until(written)


def typed(script: str, addresses: dict[str, str]) -> str:
    """What a shell prints that runs the script with the addresses of the demo."""
    given = {"API": addresses["api"], "WECHAT": addresses["sandbox"]}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **given},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_the_walk_as_typed_signs_in_and_shows_a_case(kept: Any, name: str):
    # Each block prints a line between the answers, so that the answers can be distinguished.
    script = "\n".join(re.sub(r"^(curl .*)$", r"\1; echo", block, flags=re.MULTILINE) for block in walk(name))

    printed = [json.loads(line) for line in typed(script, kept["addresses"]).splitlines()]

    cases, case, messages, sent, seen = printed
    assert [each["number"] for each in cases["items"]] == ["SPJY-2026-0042"]
    assert case["state"] == "closed"
    assert case["timeline"][0]["name"] == "补正"
    assert case["due"]["note"]  # the date, too, once the days off are published
    assert len(messages["items"]) == 3
    assert {each["persona"] for each in sent} >= {"李建国", "王秀英"}
    assert seen["state_name"] == "已办结"


def test_every_make_command_exists():
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {line.split()[1] for block in blocks(ENGLISH) for line in block.splitlines() if line.startswith("make ")}

    assert {"demo", "test"} <= named <= targets


def test_every_zhangban_command_exists():
    from api.cli import COMMANDS

    named = {shlex.split(each)[1] for each in re.findall(r"`(zhangban [^`]+)`", (ROOT / ENGLISH).read_text())}

    assert named <= COMMANDS.keys()


def test_the_twins_have_the_same_commands_headings_links_and_tables():
    english, chinese = (ROOT / ENGLISH).read_text(), (ROOT / CHINESE).read_text()

    def shape(text: str) -> dict[str, Any]:
        links = re.findall(r"\]\(([^)]+)\)", text)
        return {
            "blocks": re.findall(r"^```(?:sh|text)\n.*?^```$", text, re.MULTILINE | re.DOTALL),
            "headings": [len(each) for each in re.findall(r"^(#+) ", text, re.MULTILINE)],
            "links": [each for each in links if each not in (ENGLISH, CHINESE)],
            "commands": re.findall(r"`(zhangban [^`]+)`", text),
            "rows": len(re.findall(r"^\|", text, re.MULTILINE)),
        }

    assert shape(english) == shape(chinese)
    assert CHINESE in english
    assert ENGLISH in chinese


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_the_readme_stays_short(name: str):
    assert len((ROOT / name).read_text().splitlines()) <= 150
