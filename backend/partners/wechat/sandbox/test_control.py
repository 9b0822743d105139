"""The test control of the platform and its people, under `/sandbox`."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from cryptography.hazmat.primitives.padding import PKCS7
from litestar import Controller, Request, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from backend.partners.wechat.message_crypto import aes_cbc
from backend.partners.wechat.port import Account
from backend.partners.wechat.sandbox import messages, parcels
from backend.partners.wechat.sandbox.faults import Fault
from backend.partners.wechat.sandbox.pushing import EventFault, EventSender
from backend.partners.wechat.sandbox.world import App, Persona, Template, World

Name = Annotated[str, Meta(min_length=1, max_length=32)]


class PersonaIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whom to make; what is left out follows from the name."""

    name: Name
    phone: str | None = None
    follows: bool = False


class PersonaChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What to change about a persona, without an event."""

    phone: str | None = None
    follows: bool | None = None
    blocked: bool | None = None
    rejects_account: bool | None = None


class PopupIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the user answered the subscribe popup, per template id."""

    answers: dict[str, Literal["accept", "reject"]]


class WithdrawIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which templates the user switched off."""

    template_ids: list[str]


class TemplateIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A template to register."""

    account: Account = "mini_program"
    template_id: str
    title: str
    keys: list[str] = []
    kind: Literal["once", "long_term"] = "once"
    choices: dict[str, list[str]] = {}
    banned: bool = False


class PushIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How an account pushes; what is left out stays."""

    account: Account = "mini_program"
    url: str | None = None
    mode: Literal["plain", "compat", "safe"] | None = None
    written: Literal["json", "xml"] | None = None
    gap: float | None = None


class EventIn(EventFault, frozen=True, kw_only=True):
    """An event to push about a persona, rightly or with a fault."""

    account: Account = "mini_program"
    event: str
    fields: dict[str, Any] = {}


class ActionIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """One node of a parcel's path; `seconds` since 1970, now if left out."""

    kind: int
    words: str = ""
    seconds: int | None = None


class RulesIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The platform's own behaviour; what is left out stays."""

    daily_quota: int | None = None
    send_seconds: float | None = None
    open_templates: bool | None = None
    sensitive_words: list[str] | None = None
    pages: list[str] | None = None


class WeChatTestControl(Controller):
    """Every route answers with what it changed."""

    path = "/sandbox"
    include_in_schema = False

    @get("/personas")
    async def personas(self, world: NamedDependency[World]) -> list[dict[str, Any]]:
        return [shown(each) for each in world.personas.values()]

    @post("/personas")
    async def make(self, world: NamedDependency[World], data: JSONBody[PersonaIn]) -> dict[str, Any]:
        about = {"phone": data.phone} if data.phone else {}
        return shown(world.persona(data.name, follows=data.follows, **about))

    @patch("/personas/{name:str}")
    async def change(
        self, world: NamedDependency[World], name: FromPath[str], data: JSONBody[PersonaChange]
    ) -> dict[str, Any]:
        changes = {key: value for key, value in msgspec.structs.asdict(data).items() if value is not None}
        return shown(world.persona(name, **changes))

    @post("/personas/{name:str}/login-code")
    async def login_code(self, world: NamedDependency[World], name: FromPath[str]) -> dict[str, str]:
        return {"code": world.mint("login", world.persona(name))}

    @post("/personas/{name:str}/phone-code")
    async def phone_code(self, world: NamedDependency[World], name: FromPath[str]) -> dict[str, str]:
        return {"code": world.mint("phone", world.persona(name))}

    @post("/personas/{name:str}/user-data")
    async def user_data(
        self, world: NamedDependency[World], name: FromPath[str], data: JSONBody[dict[str, Any]]
    ) -> dict[str, str]:
        return sealed_user_data(world, world.persona(name), data)

    @post("/personas/{name:str}/popup")
    async def popup(
        self,
        world: NamedDependency[World],
        pusher: NamedDependency[EventSender],
        name: FromPath[str],
        data: JSONBody[PopupIn],
    ) -> dict[str, Any]:
        messages.popup(world, pusher, world.persona(name), data.answers)
        return shown(world.persona(name))

    @post("/personas/{name:str}/withdraw")
    async def withdraw(
        self,
        world: NamedDependency[World],
        pusher: NamedDependency[EventSender],
        name: FromPath[str],
        data: JSONBody[WithdrawIn],
    ) -> dict[str, Any]:
        messages.withdraw(world, pusher, world.persona(name), data.template_ids)
        return shown(world.persona(name))

    @post(["/personas/{name:str}/follow", "/personas/{name:str}/unfollow"])
    async def follow(
        self,
        world: NamedDependency[World],
        pusher: NamedDependency[EventSender],
        name: FromPath[str],
        request: Request[Any, Any, Any],
    ) -> dict[str, Any]:
        follows = not request.url.path.endswith("/unfollow")
        messages.follow(world, pusher, world.persona(name), follows)
        return shown(world.persona(name))

    @post("/personas/{name:str}/events")
    async def event(
        self,
        world: NamedDependency[World],
        pusher: NamedDependency[EventSender],
        name: FromPath[str],
        data: JSONBody[EventIn],
    ) -> dict[str, Any]:
        app = _app(world, data.account)
        return pusher.event(app, world.persona(name), data.event, fault=data, **data.fields).summary()

    @post("/parcels/{waybill:str}")
    async def parcel(
        self,
        world: NamedDependency[World],
        pusher: NamedDependency[EventSender],
        waybill: FromPath[str],
        data: JSONBody[list[ActionIn]],
    ) -> list[dict[str, Any]]:
        now = int(world.now().timestamp())
        actions = [(now if each.seconds is None else each.seconds, each.kind, each.words) for each in data]
        return [each.summary() for each in parcels.move(world, pusher, waybill, actions)]

    @get("/sent")
    async def sent(self, world: NamedDependency[World]) -> list[dict[str, Any]]:
        return [asdict(each) for each in world.delivered]

    @get("/pushes")
    async def pushes(self, pusher: NamedDependency[EventSender]) -> list[dict[str, Any]]:
        return [each.summary() for each in pusher.sent]

    @post("/settle")
    async def settle(self, world: NamedDependency[World], pusher: NamedDependency[EventSender]) -> dict[str, int]:
        await world.settle()
        return {"pushes": len(pusher.sent), "arrived": sum(each.arrived for each in pusher.sent)}

    @put("/push")
    async def push(self, world: NamedDependency[World], data: JSONBody[PushIn]) -> dict[str, Any]:
        target = _app(world, data.account).push
        for name in ("url", "mode", "written", "gap"):
            if (value := getattr(data, name)) is not None:
                setattr(target, name, value)
        return {"account": data.account, "url": target.url, "mode": target.mode, "written": target.written}

    @post("/templates")
    async def template(self, world: NamedDependency[World], data: JSONBody[TemplateIn]) -> dict[str, str]:
        choices = {key: tuple(values) for key, values in data.choices.items()}
        _app(world, data.account).templates[data.template_id] = Template(
            data.template_id, data.title, tuple(data.keys), data.kind, choices, data.banned
        )
        return {"template_id": data.template_id}

    @post("/faults")
    async def fault(self, world: NamedDependency[World], data: JSONBody[Fault]) -> dict[str, int]:
        world.faults.faults.append(data)
        return {"faults": len(world.faults.faults)}

    @delete("/faults", status_code=200)
    async def lift(self, world: NamedDependency[World]) -> dict[str, int]:
        world.faults.clear()
        return {"faults": 0}

    @post("/time")
    async def time(self, world: NamedDependency[World], data: JSONBody[dict[str, float]]) -> dict[str, str]:
        world.advance(data.get("seconds", 0.0))
        return {"now": world.now().isoformat()}

    @post("/tokens/kill")
    async def kill(self, world: NamedDependency[World]) -> dict[str, int]:
        for app in world.apps:
            app.tokens.kill()
        return {"asks": sum(app.tokens.asks for app in world.apps)}

    @put("/rules")
    async def rules(self, world: NamedDependency[World], data: JSONBody[RulesIn]) -> dict[str, Any]:
        if data.daily_quota is not None:
            world.mini_program.daily_quota = world.official_account.daily_quota = data.daily_quota
        if data.sensitive_words is not None:
            world.sensitive_words = set(data.sensitive_words)
        if data.pages is not None:
            world.pages = set(data.pages)
        world.send_seconds = data.send_seconds if data.send_seconds is not None else world.send_seconds
        world.open_templates = data.open_templates if data.open_templates is not None else world.open_templates
        return {"send_seconds": world.send_seconds, "open_templates": world.open_templates}


def _app(world: World, account: Account) -> App:
    return world.mini_program if account == "mini_program" else world.official_account


def shown(someone: Persona) -> dict[str, Any]:
    """A persona with its identities and permissions."""
    return {
        "name": someone.name,
        "phone": someone.phone,
        "openid": someone.openid,
        "oa_openid": someone.oa_openid,
        "unionid": someone.unionid,
        "follows": someone.follows,
        "blocked": someone.blocked,
        "quota": dict(someone.quota),
        "long_term": sorted(someone.long_term),
    }


def sealed_user_data(world: World, someone: Persona, content: dict[str, Any]) -> dict[str, str]:
    """`encryptedData` and `iv` as the phone would get them, with our watermark."""
    mark = {"timestamp": int(world.now().timestamp()), "appid": world.mini_program.appid}
    padder = PKCS7(128).padder()
    plain = padder.update(msgspec.json.encode({**content, "watermark": mark})) + padder.finalize()
    iv = secrets.token_bytes(16)
    sealed = aes_cbc(b64decode(someone.session_key), iv).encrypt(plain)
    return {"encryptedData": b64encode(sealed).decode(), "iv": b64encode(iv).decode()}
