"""The sandbox of the partners over real HTTP, and messages that go out through it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backend.partners.sandbox import Sandbox
from tests.factories.notifications import partners_in_the_sandbox


@pytest.fixture
async def sandbox(_clean: None) -> AsyncIterator[Sandbox]:
    """WeChat and the SMS gateway, knowing our templates; our side talks to them."""
    async with partners_in_the_sandbox() as served:
        yield served
