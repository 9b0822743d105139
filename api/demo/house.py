"""The house of a demo: servers, sandbox, service and worker as real processes on free ports."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import aiohttp
import asyncpg

from api.commands.migrate import MIGRATED
from api.demo import appointment
from api.demo.client import Department, Phone, TestControls
from api.demo.delivery import Parcel
from api.demo.payments import Money
from api.demo.people import cast
from api.demo.processes import READY, DemoFailed, Processes, free_ports
from api.demo.showing import Timeline
from api.demo.story import Story
from backend import clock, seeding
from backend.embedded import Urls, servers
from backend.settings import Settings, environment
from backend.shutdown import lifeline
from notifications.templates import partner_templates

PATIENCE, PATIENCE_IN_CHAOS = 10.0, 40.0
"""Seconds within which a message must have arrived."""
STRANGER = "路人"

QUICK = {
    "DRAIN_SECONDS": "0.1",
    "FREED_PLACE_MIN_SECONDS": "0.5",
    "FREED_PLACE_MAX_SECONDS": "2",
    "LEDGER_SEAL_SECONDS": "0.2",
    "SHUTDOWN_SECONDS": "3",
    "TRUSTED_PROXIES": "127.0.0.1/32",
    "PARTNER_TIMEOUT": "1",
    "JOB_RETRY_SECONDS": "0.2,0.5,1,2,4,8",
    "JOB_LEASE_SECONDS": "2",
    "POSTAGE_PAYER": "resident",
    "COURIER_SWEEP_SECONDS": "0.5",
    "REFUND_SECOND_PERSON_ABOVE_FEN": "10000",
    "REFUND_SWEEP_SECONDS": "1",
    "NOTIFICATION_RETRY_SECONDS": "0.2,0.4,0.8,1.5,3,6,12",
    "NOTIFICATION_LEASE_SECONDS": "2.5",
    "NOTIFICATION_SWEEP_SECONDS": "2",
}
"""Patience scaled down, so that a story with accidents ends while its reader is watching."""

_UNHEARD = "SELECT EXISTS (SELECT FROM pgqueuer WHERE entrypoint = 'events.dispatch')"


@dataclass
class House:
    """What runs, and how it is reached."""

    api: str
    sandbox: str
    urls: Urls
    processes: Processes
    http: aiohttp.ClientSession
    controls: TestControls
    timeline: Timeline

    async def story(self, *, chaos: bool) -> Story:
        """The cast with their phones and the departments with their keys, ready to begin."""
        people = cast()
        for person in people:
            shown = await self.controls.ask("POST", "/sandbox/personas", {"name": person.name})
            person.phone = shown.body["phone"]
        deaf = [f"+86{person.phone}" for person in people if not person.takes_texts]
        await self.controls.ask("PUT", "/sandbox/sms/rules", {"blocked": deaf})
        self.timeline.record.people = [person.as_data() for person in people]
        phones = {name: Phone(self.http, self.api, name) for name in (*(person.name for person in people), STRANGER)}
        patience = PATIENCE_IN_CHAOS if chaos else PATIENCE
        return Story(people, self._departments(), phones, self.controls, self.timeline, patience=patience)

    def visit(self, story: Story) -> appointment.Visit:
        """The chapter of the halls, with a person whose item the hall of the story handles."""
        person = next(each for each in story.people if each.item == appointment.ITEM)
        return appointment.Visit(self.http, self.api, person, story.phones[person.name], self.controls, self.timeline)

    def money(self, story: Story) -> Money:
        """The chapter of the fees, with those of the story who owe some."""
        return Money(
            self.http, self.api, story.people, story.phones, self.controls, self.timeline,
            processes=self.processes, patience=story.patience,
        )  # fmt: skip

    def parcel(self, story: Story, money: Money) -> Parcel:
        """The chapter of the delivery, with a person whose document can be posted."""
        person = next(each for each in story.people if each.item == appointment.ITEM)
        phone = story.phones[person.name]
        return Parcel(person, phone, money, self.controls, self.timeline, patience=story.patience)

    def _departments(self) -> dict[str, Department]:
        return {
            domain: Department(self.http, self.api, domain, key, seeding.agency_secret(key))
            for domain, key in seeding.AGENCIES.items()
        }

    def start_worker(self) -> None:
        """One more worker, under the name that `Processes.kill` knows."""
        self.processes.start("work", "api.cli", "work", lifeline=True)

    async def until_handled(self) -> None:
        """Wait until the worker has dispatched every event to its subscribers.

        A resident's messages depend on what was known of them when it happened, so no resident signs in before. Raises
        DemoFailed when the worker does not come.
        """
        connection = await asyncpg.connect(self.urls.database_url)
        try:
            async with asyncio.timeout(READY):
                while await connection.fetchval(_UNHEARD):
                    self.processes.must_run("work")
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            said = self.processes.last_words("work")
            raise DemoFailed(f"后台工作进程 {READY:.0f} 秒内没有处理完事件：\n{said}") from error
        finally:
            await connection.close()

    async def register_templates(self) -> None:
        """Give the sandbox the templates that WeChat's console would hold."""
        known = partner_templates()
        for account, templates in (("mini_program", known.mini_program), ("official_account", known.official_account)):
            for name, each in templates.items():
                title = each.title or known.mini_program[name].title
                kind = "long_term" if each.kind == "long-term" else "once"
                body = {"account": account, "template_id": each.id, "title": title, "kind": kind}
                await self.controls.ask("POST", "/sandbox/templates", body)


@asynccontextmanager
async def opened(timeline: Timeline) -> AsyncIterator[House]:
    """Everything runs inside the block and nothing of it afterwards, however the block ends."""
    api_port, sandbox_port = free_ports(2)
    api, sandbox = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{sandbox_port}"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zhangban-demo-")))
        processes = Processes(folder, _environment(api, api_port), stack.enter_context(lifeline()))
        stack.push_async_callback(processes.stop)
        # The sandbox needs no server and starts beside them.
        given = ("--port", str(sandbox_port), "--callback", f"{api}/v1/callbacks/wechat")
        processes.start("sandbox", "backend.partners.sandbox", *given, lifeline=True)
        urls = stack.enter_context(servers(durable=False, say=timeline.say))
        stack.push_async_callback(processes.stop)  # before the servers, too: their holders end first
        processes.know({"DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url})
        # Connections that were idle for longer may be gone at the other end.
        connector = aiohttp.TCPConnector(keepalive_timeout=2.0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        house = House(api, sandbox, urls, processes, http, TestControls(http, sandbox), timeline)
        await _start(house)
        yield house


def _environment(api: str, port: int) -> dict[str, str]:
    """The environment of the children. Our own settings are left out: a demo never touches real data."""
    ours = {each.name.upper() for each in fields(Settings)}
    plain = {name: value for name, value in environment().items() if name not in ours}
    return {
        **plain,
        **QUICK,
        "PYTHONUNBUFFERED": "1",
        "SANDBOX": "true",
        "PUBLIC_BASE": api,
        "PORT": str(port),
    }


async def _start(house: House) -> None:
    processes, say = house.processes, house.timeline.say
    house.timeline.record.addresses = {"api": house.api, "sandbox": house.sandbox}
    await processes.until_ready("sandbox", f"{house.sandbox}/sandbox/settings", house.http)
    known = (await house.controls.ask("GET", "/sandbox/settings")).body
    processes.know({name.upper(): str(value) for name, value in known.items()})
    processes.start("serve", "api.cli", "serve", lifeline=True)  # it answers 503 on /readyz until the tables are there
    say("正在建立数据库结构，装入示例目录……")
    places = map(str, appointment.PLACES)
    processes.start("seed", "api.cli", "seed", "--migrate", "--profile", "demo", "--open-now", *places)
    say(f"数据库结构就绪，{await processes.until_logged('seed', MIGRATED):.1f} 秒")
    began = clock.monotonic()
    house.start_worker()
    await processes.until_ended("seed")
    say(f"示例目录、部门密钥就绪，{clock.monotonic() - began:.1f} 秒")
    await processes.until_ready("serve", f"{house.api}/readyz", house.http)
    await house.until_handled()
    say(f"微信与短信沙箱 {house.sandbox} · 接口服务 {house.api} · 后台工作进程，均已就绪")
    await house.register_templates()
