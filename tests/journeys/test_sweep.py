"""The sweep of `make sweep`, over the notice of WeChat Pay: after a death at any statement, the books are right."""

from __future__ import annotations

import asyncio
import sys

import pytest

from backend.settings import environment


@pytest.mark.timeout(240)
async def test_a_notice_survives_a_death_at_every_statement():
    sweep = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sweep", "callback", env=environment(DATABASE_URL="", REDIS_URL=""),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await sweep.communicate()

    text = said.decode()
    assert sweep.returncode == 0, text
    assert "deaths: nothing lost, nothing twice, the ledger balanced" in text
    assert "callback: 0 statements" not in text
