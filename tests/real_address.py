"""The service at a real address, to which the simulated couriers push; inside this process, on the test's database."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from api.edge import Edge
from backend.partners import Partners, equip, partners_from
from backend.partners.sandbox import Sandbox, serving
from backend.settings import using


@asynccontextmanager
async def among_couriers(app: Litestar, sandbox: Sandbox) -> AsyncIterator[tuple[str, Partners]]:
    """The address, and our side of the partners. No parcel moves by itself."""
    subscriber = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{subscriber.getsockname()[1]}"
    sandbox.couriers.rule(auto=False)
    with using(public_base=address) as values:
        app.state["partners"] = bundle = partners_from(values)
        equip(bundle)
        async with serving(Edge(app), subscriber):
            sandbox.push_to(f"{address}/v1/callbacks/wechat", gap=0.01)
            yield address, bundle
        equip(None)
        await bundle.close()
