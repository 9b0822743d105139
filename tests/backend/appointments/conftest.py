"""What happened is told to people while jobs are run: through the simulators of the partners."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.factories.notifications import partners_in_the_sandbox


@pytest.fixture
async def told(_clean: None) -> AsyncIterator[None]:
    """Whoever drains the jobs of a test delivers messages too; here they arrive."""
    async with partners_in_the_sandbox():
        yield
