"""The service as journeys use it: seeded, at a real address, with partners that push to it."""

from __future__ import annotations

import io
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from litestar import Litestar

from api.edge import Edge
from backend import identity, jobs, seeding
from backend.partners import Partners
from backend.partners.sandbox import Sandbox, serving
from tests.factories.notifications import register_templates
from tests.journeys import looking
from tests.journeys.actors import events_of_money


@pytest.fixture
async def base(app: Litestar, partners: Partners, sandbox: Sandbox) -> AsyncIterator[str]:
    """The address of the service with the demo's seed; messages go out through the sandbox, and WeChat and both
    payment platforms push to our doors."""
    subscriber = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{subscriber.getsockname()[1]}"
    register_templates(sandbox.world)
    await seeding.seed("demo")
    await jobs.drain()
    async with serving(Edge(app), subscriber), identity.watch_sessions():
        sandbox.push_to(f"{address}/v1/callbacks/wechat", gap=0.01)
        await events_of_money(address, sandbox)
        yield address


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged."""
    with looking.at_the_logs() as stream:
        yield stream
