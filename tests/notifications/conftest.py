"""The sandbox of the partners over real HTTP, and messages that go out through it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backend import settings as settings_module
from backend.partners import Partners, partners_from
from backend.partners.sandbox import Sandbox, serve_sandbox
from notifications import delivering
from tests.factories.notifications import register_templates


@pytest.fixture
async def sandbox(_clean: None) -> AsyncIterator[Sandbox]:
    """WeChat and the SMS gateway, knowing our templates; our side talks to them."""
    async with serve_sandbox() as served:
        register_templates(served.world)
        quick = {"notification_retry_seconds": "0,0", "partner_timeout": 1.0, "notification_elder_seconds": 0.0}
        with settings_module.using(**served.settings(), **quick):
            partners = partners_from(settings_module.settings())
            delivering.equip(partners)
            yield served
            delivering.equip(None)
            await partners.close()


@pytest.fixture
def partners(sandbox: Sandbox) -> Partners:
    """The partners in use."""
    return delivering.equipment()
