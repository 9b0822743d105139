"""The partners' simulators as one ASGI app, in a process of its own or inside a test.

    python -m backend.partners.sandbox --port 18080 --callback http://127.0.0.1:8000/v1/callbacks/wechat

WECHAT_API_BASE, SMS_API_BASE, WECHAT_PAY_API_BASE, ALIPAY_API_BASE and those of the couriers then point to it, and its
test control is under `/sandbox`; the other settings (keys, serials, ids) are at `GET /sandbox/settings`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from litestar import Litestar, get
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send

from backend.partners.alipay.sandbox.platform import AlipayPlatform
from backend.partners.alipay.sandbox.test_control import AlipayTestControl, alipay_gateway
from backend.partners.alipay.sandbox.world import AlipayWorld
from backend.partners.courier.sandbox.app import CourierAddresses
from backend.partners.courier.sandbox.platform import Couriers
from backend.partners.courier.sandbox.test_control import CourierTestControl
from backend.partners.fiscal_receipt.sandbox import FiscalTestControl, FiscalWorld, issuing, voiding
from backend.partners.sms.sandbox import DEFAULTS as SMS_DEFAULTS
from backend.partners.sms.sandbox import SmsTestControl, SmsWorld, sms_gateways
from backend.partners.wechat.sandbox.app import wechat
from backend.partners.wechat.sandbox.faults import FaultInjector
from backend.partners.wechat.sandbox.pushing import EventSender
from backend.partners.wechat.sandbox.test_control import WeChatTestControl
from backend.partners.wechat.sandbox.world import World, sandbox_settings
from backend.partners.wechat_pay.sandbox.app import wechat_pay
from backend.partners.wechat_pay.sandbox.platform import PayPlatform
from backend.partners.wechat_pay.sandbox.test_control import PayTestControl
from backend.partners.wechat_pay.sandbox.world import PayWorld
from backend.settings import Settings, SettingsError, settings
from backend.shutdown import Orders

LAST_SECONDS = 3.0
"""How long the end may take before the process is ended by force."""


@dataclass
class Sandbox:
    """The simulators and their state. `base` is their address once they are served."""

    values: Settings
    world: World
    pusher: EventSender
    sms: SmsWorld
    pay: PayPlatform
    alipay: AlipayPlatform
    fiscal: FiscalWorld
    couriers: Couriers
    base: str = ""

    @classmethod
    def of(cls, values: Settings) -> Sandbox:
        """A fresh one. Raises SettingsError in production."""
        if values.profile == "production":
            raise SettingsError("the sandbox does not run in production")
        world = World(values)
        pay = PayPlatform(PayWorld(values, is_foreign=world.is_of_other_app))
        alipay, fiscal = AlipayPlatform(AlipayWorld(values)), FiscalWorld.of(values)
        return cls(values, world, EventSender(world), SmsWorld.of(values), pay, alipay, fiscal, Couriers(values))

    def settings(self) -> dict[str, str]:
        """The settings with which the service calls this sandbox: addresses, names and keys."""
        sms = {name: value for name, value in SMS_DEFAULTS.items() if not getattr(self.values, name)}
        wechat = {"wechat_api_base": self.base, "sms_api_base": self.base, **sandbox_settings(self.values), **sms}
        fiscal = self.fiscal.settings(self.values, self.base)
        money = {**self.pay.settings(self.base), **self.alipay.settings(self.base), **fiscal}
        return {**wechat, **money, **self.couriers.settings(self.base)}

    def push_to(self, url: str, *, gap: float = 5.0) -> None:
        """Set the address for the pushes of both accounts, the SMS gateway and the couriers; `gap` is the pause between
        attempts in seconds."""
        for app in self.world.apps:
            app.push.url, app.push.gap = url, gap
        token = self.values.sms_push_token or SMS_DEFAULTS["sms_push_token"]
        self.sms.push.url = f"{url.rpartition('/')[0]}/sms/{self.values.sms_provider}/{token}"
        self.sms.push.gap = gap
        self.couriers.push_to(f"{url.rpartition('/')[0]}/courier")

    def app(self) -> ASGIApp:
        """The ASGI app, faults in front."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_SANDBOX] = self  # type: ignore[literal-required]
            await _addresses()(scope, receive, send)

        return FaultInjector(answer, self.world.faults)


_SANDBOX = "sandbox"
"""The key of the sandbox in the scope of a request."""


@get("/sandbox/settings", include_in_schema=False)
async def _settings(scope: Scope) -> dict[str, str]:
    settings: dict[str, str] = scope[_SANDBOX].settings()  # type: ignore[literal-required]
    return settings


def _part(name: str) -> Provide:
    def found(scope: Scope) -> Any:
        return getattr(scope[_SANDBOX], name)  # type: ignore[literal-required]

    return Provide(found, sync_to_thread=False)


@functools.cache
def _addresses() -> Litestar:
    """Every address of the simulators, for all the sandboxes of this process: the request's scope names its sandbox."""
    return Litestar(
        route_handlers=[
            wechat,
            wechat_pay,
            sms_gateways,
            alipay_gateway,
            issuing,
            voiding,
            CourierAddresses,
            WeChatTestControl,
            PayTestControl,
            SmsTestControl,
            AlipayTestControl,
            FiscalTestControl,
            CourierTestControl,
            _settings,
        ],
        dependencies={
            "sms_world": _part("sms"),
            **{name: _part(name) for name in ("world", "pusher", "pay", "alipay", "fiscal", "couriers")},
        },
        openapi_config=None,
    )


class _Server(uvicorn.Server):
    """Leaves the signals of the process to its owner, and ends at once, where uvicorn polls ten times a second: the
    tests begin and end two thousand of these."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Finish open requests, and stop."""
        self.should_exit = True
        self._ended.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield

    async def main_loop(self) -> None:
        """Tick (the Date header) until `end`."""
        for tick in itertools.count():
            if await self.on_tick(tick):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """At once when nothing is being answered."""
        if self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()


@contextlib.asynccontextmanager
async def serving(app: Any, subscriber: socket.socket) -> AsyncIterator[None]:
    """An ASGI app over real HTTP on an open socket, inside this process, as long as the block lasts."""
    # asyncio spares only sockets that name their protocol from waiting 40 ms for an acknowledgement; these do not.
    subscriber.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = _Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve(sockets=[subscriber]))
    try:
        while not server.started:
            if running.done():
                await running
            await asyncio.sleep(0.005)
        yield
    finally:
        server.end()
        await running
        subscriber.close()


@contextlib.asynccontextmanager
async def serve_sandbox(
    values: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0, callback: str = ""
) -> AsyncIterator[Sandbox]:
    """The sandbox over real HTTP inside this process, on a free port unless one is given.

    Its state ends with the block.
    """
    sandbox = Sandbox.of(values or settings())
    subscriber = socket.create_server((host, port))
    sandbox.base = sandbox.couriers.world.base = f"http://{host}:{subscriber.getsockname()[1]}"
    if callback:
        sandbox.push_to(callback)
    async with serving(sandbox.app(), subscriber):
        try:
            yield sandbox
        finally:
            for each in (sandbox.world, sandbox.sms, sandbox.pay.world, sandbox.alipay.world):
                for task in set(each.background):
                    task.cancel()
            await sandbox.couriers.stop()


async def _serve(host: str, port: int, callback: str, lifeline: int | None) -> None:
    orders = Orders(LAST_SECONDS)
    if lifeline is not None:
        orders.watch(lifeline)
    async with serve_sandbox(host=host, port=port, callback=callback) as sandbox:
        print(
            f"sandbox of WeChat, SMS, payment channels and couriers at {sandbox.base}, "
            f"test control under {sandbox.base}/sandbox",
            flush=True,
        )
        await orders.stop.wait()


def main() -> None:
    """Serve until a signal or the lifeline stops the process."""
    parser = argparse.ArgumentParser(prog="python -m backend.partners.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("--callback", default="", help="where events are pushed to")
    parser.add_argument("--lifeline", type=int, metavar="FD", help="stop when the other end of this pipe closes")
    given = parser.parse_args()
    asyncio.run(_serve(given.host, given.port, given.callback, given.lifeline))


if __name__ == "__main__":
    main()
