"""The live adapter, pointed to the simulated platform."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backend.partners.base import Wire
from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.live import LiveWeChatPay
from backend.settings import settings


@pytest.fixture
async def wire(sandbox: Sandbox) -> AsyncIterator[Wire]:
    opened = Wire(settings())
    yield opened
    await opened.close()


@pytest.fixture
def channel(sandbox: Sandbox, wire: Wire) -> LiveWeChatPay:
    sandbox.pay.world.rules.notices = "swallow"
    sandbox.pay.world.rules.refund_seconds = None
    return LiveWeChatPay(wire, settings())
