"""Residents whom messages can reach, consents, and messages on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from backend import clock
from backend import settings as settings_module
from backend.crypto import fingerprint, seal
from backend.database import fetch_value, transaction
from backend.events import EventMeta
from backend.identity.events import PhoneMovedAway
from backend.partners import equip, partners_from
from backend.partners.sandbox import Sandbox, serve_sandbox
from backend.partners.wechat.sandbox.world import Persona, Template, World
from models.identity import Resident, WeChatAccount
from models.notifications import ConsentAnswer, ConsentSource
from notifications import consent, inbox
from notifications.consent import Report
from notifications.rules import facts
from notifications.templates import messages, partner_templates

_numbers = iter(range(1, 10**9))


def template_id(name: str = "case-progress") -> str:
    """WeChat's id of one of our mini-program templates."""
    return partner_templates().mini_program[name].id


@asynccontextmanager
async def partners_in_the_sandbox(**changes: Any) -> AsyncIterator[Sandbox]:
    """WeChat and the SMS gateway over real HTTP, knowing our templates; messages go out through them, and what fails
    is tried again at once."""
    async with serve_sandbox() as served:
        register_templates(served.world)
        quick = {"notification_retry_seconds": "0,0", "partner_timeout": 20.0, "notification_order_wait_seconds": 0.0}
        with settings_module.using(**served.settings(), **{**quick, **changes}):
            partners = partners_from(settings_module.settings())
            equip(partners)
            yield served
            equip(None)
            await partners.close()


def register_templates(world: World) -> None:
    """Have the sandbox know every template of ours, with the keys that our messages fill."""
    for app, ways in ((world.mini_program, "mini_program"), (world.official_account, "official_account")):
        for name, known in getattr(partner_templates(), ways).items():
            used = [getattr(each, ways) for each in messages().values()]
            keys = next(tuple(way.fields) for way in used if way and way.template == name)
            kind = "long_term" if known.kind == "long-term" else "once"
            app.templates[known.id] = Template(known.id, known.title or name, keys, kind)


async def a_reachable_resident(
    world: World, name: str | None = None, *, follows: bool = False, phone: bool = False
) -> tuple[Resident, Persona]:
    """A resident and the person behind them in the sandbox: with an openid, if wanted also with a followed official
    account and a confirmed phone."""
    persona = world.persona(name or f"resident-{next(_numbers)}", follows=follows)
    resident_id = uuid7()
    given = {}
    if phone:
        sealed = seal(persona.phone, where="residents.phone", row=resident_id)
        given = {
            "phone": sealed,
            "phone_fingerprint": fingerprint(persona.phone, "phone"),
            "phone_confirmed_at": clock.now(),
        }
    resident = await Resident.create(id=resident_id, **given)
    for account, openid in (("mini_program", persona.openid), ("official_account", persona.oa_openid)):
        if account == "mini_program" or follows:
            await _account(resident_id, account, openid, persona.unionid)
    return resident, persona


async def _account(resident_id: UUID, account: str, openid: str, unionid: str) -> None:
    identity = uuid7()
    await WeChatAccount.create(
        id=identity,
        resident_id=resident_id,
        account=account,
        openid=seal(openid, where="wechat_accounts.openid", row=identity),
        openid_fingerprint=fingerprint(openid, "openid"),
        unionid=seal(unionid, where="wechat_accounts.unionid", row=identity),
        unionid_fingerprint=fingerprint(unionid, "unionid"),
    )


async def consents(resident: Resident, persona: Persona | None = None, *names: str, times: int = 1) -> None:
    """The resident accepted the popup for these templates, on our side and (with a persona) on WeChat's."""
    for name in names or ("case-progress",):
        known = partner_templates().mini_program[name]
        for _ in range(times):
            report = Report(
                known.id, ConsentAnswer.ACCEPT, ConsentSource.FRONT_END, f"front-end:{uuid4()}", clock.now()
            )
            await consent.record_reports(resident.id, [report])
            if persona is not None and known.kind == "long-term":
                persona.long_term.add(known.id)
            elif persona is not None:
                persona.quota[known.id] = persona.quota.get(known.id, 0) + 1


CONTEXT = {
    "item": "居民身份证申领",
    "number": "12441500196720244T3442199806003202206230068",
    "department": "市公安局",
    "due": "2026年12月6日",
}


async def a_message(
    resident: Resident, name: str = "case_accepted", *, event_id: UUID | None = None, **context: str
) -> UUID:
    """A message that waits for its turn; its id."""
    meta = EventMeta(event_id or uuid7(), clock.now(), "system", "-", "-")
    values = CONTEXT | {"at": facts.moment(meta.at)} | context
    async with transaction():
        await inbox.write_message(PhoneMovedAway(resident_id=resident.id), meta, resident.id, name, values)
    row = await fetch_value(
        "SELECT id FROM messages WHERE event_id = $1 AND resident_id = $2 AND name = $3", meta.id, resident.id, name
    )
    return UUID(str(row))
