"""Residents are notified while jobs are run: through the sandboxes of the partners."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.factories.notifications import partners_in_the_sandbox


@pytest.fixture
async def delivered(_clean: None) -> AsyncIterator[None]:
    """A test that drains its jobs delivers messages too; here they arrive."""
    async with partners_in_the_sandbox():
        yield
