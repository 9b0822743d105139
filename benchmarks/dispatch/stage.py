"""Residents who have subscribed, messages that wait for them, and the environment of the programs."""

from __future__ import annotations

import json
import urllib.request
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import fingerprint, seal
from backend.embedded import Urls
from backend.settings import environment
from benchmarks.databases import migrated, new_residents, owner
from benchmarks.processes import free_port
from notifications import wording
from notifications.templates import messages, partner_templates

TEMPLATE = "case_accepted"
CONTEXT = {
    "item": "居民身份证申领",
    "number": "202611220001",
    "department": "示例局",
    "at": "2026年11月22日 15:04",
    "due": "2026年12月6日",
}


class Waiting(NamedTuple):
    """A message that waits, and who gets it."""

    id: UUID
    openid: str


class Stage:
    """The residents by their openids, and where everything is."""

    def __init__(self, urls: Urls, at_once: int) -> None:
        self.urls = urls
        self.partner_port = free_port()
        self.residents: list[tuple[UUID, str]] = []
        self.environment = environment(
            DATABASE_URL=urls.database_url,
            REDIS_URL=urls.redis_url,
            LOG_LEVEL="ERROR",
            SANDBOX="true",
            WECHAT_APPID="wxbench00000000000",
            WECHAT_SECRET="0" * 32,
            WECHAT_API_BASE=f"http://127.0.0.1:{self.partner_port}",
            JOB_CONCURRENCY=str(at_once),
            # A machine that is busy with the measurement must not make lease upon lease run out.
            PARTNER_TIMEOUT="20",
        )

    async def prepare(self, residents: int) -> None:
        """Migrate, and make residents with an openid and a consent that lasts longer than the measurement."""
        await migrated(self.urls)
        now, template = clock.now(), messages()[TEMPLATE].mini_program
        assert template is not None
        template_id = partner_templates().mini_program[template.template].id
        async with owner(self.urls) as connection:
            ids = await new_residents(connection, residents)
            self.residents = [(each, f"oBench{number:022d}") for number, each in enumerate(ids)]
            accounts = []
            for resident, openid in self.residents:
                account = uuid7()
                sealed = seal(openid, where="wechat_accounts.openid", row=account)
                accounts.append((account, now, resident, "mini_program", sealed, fingerprint(openid, "openid")))
            await connection.copy_records_to_table(
                "wechat_accounts", records=accounts,
                columns=["id", "created_at", "resident_id", "account", "openid", "openid_fingerprint"],
            )  # fmt: skip
            await connection.copy_records_to_table(
                "consent_balances", records=[(each, template_id, "one-off", 10**6, False, False, now) for each in ids],
                columns=["resident_id", "template_id", "kind", "remaining", "standing", "banned", "changed_at"],
            )  # fmt: skip
            await connection.copy_records_to_table(
                "message_queues", columns=["resident_id", "fence"], records=[(each, 0) for each in ids]
            )

    async def queue(self, count: int, *, residents: int) -> list[Waiting]:
        """Have so many messages wait, dealt out to so many residents in turns; they appear together. In the order in
        which each resident has to get them."""
        template, now = messages()[TEMPLATE], clock.now()
        title, body = (wording.fill(text, CONTEXT) for text in (template.inbox.title, template.inbox.body))
        context, people = msgspec.json.encode(CONTEXT).decode(), self.residents[:residents]
        rows, made = [], []
        for number in range(count):
            resident, openid = people[number % len(people)]
            message = uuid7()
            rows.append(
                (message, now, resident, uuid7(), TEMPLATE, "case", uuid7(), now, context, title, body, "pending",
                 True, "mini_program", 0, 0, 0, now)
            )  # fmt: skip
            made.append(Waiting(message, openid))
        async with owner(self.urls) as connection:
            await connection.copy_records_to_table(
                "messages", records=rows,
                columns=["id", "created_at", "resident_id", "event_id", "name", "subject_kind", "subject_id",
                         "happened_at", "context", "title", "body", "state", "waiting", "channel", "tries",
                         "attempts", "unanswered", "due_at"],
            )  # fmt: skip
            await connection.execute("ANALYZE messages, message_queues")
        return made

    def log(self) -> dict[str, Any]:
        """What the partner was sent since the last time."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.partner_port}/log") as answer:
            sent: dict[str, Any] = json.load(answer)
        return sent
