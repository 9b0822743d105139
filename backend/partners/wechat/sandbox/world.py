"""The state of the sandbox, in memory, with a clock of its own that can be moved."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from backend import clock
from backend.partners import simulated
from backend.partners.own_time import OwnTime
from backend.partners.wechat.port import Account
from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.faults import FaultBox
from backend.partners.wechat.sandbox.tokens import TokenDesk
from backend.settings import Settings

CODE_LIVES = timedelta(minutes=5)
DAILY_QUOTA: dict[Account, int] = {"mini_program": 10_000_000, "official_account": 100_000}

DEFAULTS = simulated.WECHAT
"""The names and keys of our accounts where the settings name none."""


def sandbox_settings(values: Settings) -> dict[str, str]:
    """The WeChat names and keys to put in force where the settings leave them empty."""
    return {name: value for name, value in DEFAULTS.items() if not getattr(values, name)}


@dataclass
class PushSettings:
    """Where and how an account pushes: `url` empty means nowhere."""

    token: str = ""
    aes_key: str = ""
    mode: Literal["plain", "compat", "safe"] = "safe"
    written: Literal["json", "xml"] = "json"
    url: str = ""
    gap: float = 5.0
    """Real seconds between the attempts; WeChat's own are five."""


@dataclass
class Template:
    """A message template of an account; `keys` empty means that any keys are taken."""

    template_id: str
    title: str
    keys: tuple[str, ...] = ()
    kind: Literal["once", "long_term"] = "once"
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    banned: bool = False


@dataclass
class App:
    """One of the two accounts as the platform knows it."""

    account: Account
    appid: str
    secret: str
    original_id: str
    push: PushSettings
    tokens: TokenDesk
    daily_quota: int
    templates: dict[str, Template] = field(default_factory=dict)
    sent_on: dict[date, int] = field(default_factory=dict)


@dataclass
class Persona:
    """A person with a phone and WeChat on it."""

    name: str
    phone: str
    openid: str
    oa_openid: str
    unionid: str
    follows: bool = False
    blocked: bool = False
    """WeChat holds the user to be of high risk."""
    rejects_account: bool = False
    """Template messages are accepted and then reported as `failed:user block`."""
    session_key: str = ""
    visited_at: datetime | None = None
    quota: dict[str, int] = field(default_factory=dict)
    long_term: set[str] = field(default_factory=set)
    logins: list[datetime] = field(default_factory=list)


@dataclass
class Code:
    """A code of wx.login or getPhoneNumber."""

    kind: Literal["login", "phone"]
    persona: Persona
    appid: str
    made_at: datetime
    used: bool = False


@dataclass
class Delivered:
    """A message that reached a phone (or was accepted to be tried)."""

    at: datetime
    channel: Literal["subscribe", "template"]
    persona: str
    openid: str
    template_id: str
    title: str
    data: dict[str, str]
    message_id: str
    details: dict[str, Any]


class World(OwnTime):
    """The platform's state. Time is ours plus a shift that a test moves."""

    def __init__(self, values: Settings) -> None:
        super().__init__()
        named = {name: getattr(values, name) or DEFAULTS[name] for name in DEFAULTS}
        self.mini_program = self._app("mini_program", named["wechat_appid"], named["wechat_secret"], "gh_5a68616e6762")
        self.official_account = self._app(
            "official_account", named["wechat_oa_appid"], named["wechat_oa_secret"], "gh_6f6666696369"
        )
        mode = values.wechat_push_mode
        self.mini_program.push = PushSettings(named["wechat_push_token"], named["wechat_push_aes_key"], mode)
        self.official_account.push = PushSettings(
            named["wechat_oa_push_token"], named["wechat_oa_push_aes_key"], mode, "xml"
        )
        self.personas: dict[str, Persona] = {}
        self.codes: dict[str, Code] = {}
        self.delivered: list[Delivered] = []
        self.references: dict[str, tuple[datetime, str]] = {}
        self.sending: set[str] = set()
        self.send_seconds = 0.0
        """Real seconds that one subscribe send takes; a second one to the same person within it gets
        43108."""
        self.open_templates = False
        """Take template ids that are not registered, instead of refusing them with 40037."""
        self.sensitive_words = {"违禁词"}
        self.pages: set[str] | None = None
        """Pages of the published mini-program; None means that every page exists."""
        self.parcels: dict[str, Any] = {}
        """Parcels that a persona follows (`parcels.FollowedWaybill`), by token."""
        self.paid: set[str] | None = None
        """Transaction ids of paid orders; None means that every id is one."""
        self.faults = FaultBox()
        self._ids = itertools.count(1_000_000_000_000_001)

    def _app(self, account: Account, appid: str, secret: str, original_id: str) -> App:
        desk = TokenDesk(self.now)
        return App(account, appid, secret, original_id, PushSettings(), desk, DAILY_QUOTA[account])

    # -- time ------------------------------------------------------------------------------------

    # -- apps and people -------------------------------------------------------------------------

    @property
    def apps(self) -> tuple[App, App]:
        """Both accounts."""
        return self.mini_program, self.official_account

    def app_of(self, appid: str) -> App:
        """The account with this appid. Raises Errcode 40013."""
        for app in self.apps:
            if app.appid == appid:
                return app
        raise Errcode(40013, "invalid appid")

    def app_with_token(self, token: str, account: Account) -> App:
        """The account that the token belongs to. Raises Errcode 41001, 40001, 42001, 40014, 48001."""
        if not token:
            raise Errcode(41001, "access_token missing")
        for app in self.apps:
            if app.tokens.knows(token):
                app.tokens.check(token)
                if app.account != account:
                    raise Errcode(48001, "api unauthorized")
                return app
        raise Errcode(40001 if len(token) > 20 else 40014, "invalid credential, access_token is invalid or not latest")

    def persona(self, name: str, **about: Any) -> Persona:
        """The persona of this name, made if there is none; ids follow from the name, so runs can be
        compared."""
        if name not in self.personas:
            number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100_000_000
            self.personas[name] = Persona(
                name=name,
                phone=f"138{number:08d}",
                openid=_identifier("o", self.mini_program.appid, name),
                oa_openid=_identifier("o", self.official_account.appid, name),
                unionid=_identifier("u", "union", name),
            )
        someone = self.personas[name]
        for key, value in about.items():
            setattr(someone, key, value)
        return someone

    def persona_with(self, openid: str, account: Account) -> Persona:
        """Whose openid it is in this account. Raises Errcode 40003."""
        for someone in self.personas.values():
            if openid == (someone.openid if account == "mini_program" else someone.oa_openid):
                return someone
        raise Errcode(40003, "invalid openid")

    def is_of_other_app(self, openid: str) -> bool:
        """Whether it is an openid of the official account, which the mini-program cannot charge."""
        return any(openid == someone.oa_openid for someone in self.personas.values())

    def mint(self, kind: Literal["login", "phone"], someone: Persona) -> str:
        """A fresh code, as the phone would get it. A login also gives the user a new session key."""
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(kind, someone, self.mini_program.appid, self.now())
        if kind == "login":
            someone.session_key = b64encode(secrets.token_bytes(16)).decode()
            someone.visited_at = self.now()
        return code

    def use_code(self, code: str, kind: Literal["login", "phone"], appid: str) -> Persona:
        """Use a code up. Raises Errcode 40029 (unknown, expired, of another app or kind), 40163 (login
        code used)."""
        found = self.codes.get(code)
        fits = found is not None and found.kind == kind and found.appid == appid
        if found is None or not fits or self.now() - found.made_at > CODE_LIVES:
            raise Errcode(40029, "invalid code")
        if found.used:
            raise Errcode(40163 if kind == "login" else 40029, "code been used")
        found.used = True
        return found.persona

    # -- messages --------------------------------------------------------------------------------

    def count_send(self, app: App) -> None:
        """One more message today. Raises Errcode 45009 when the day's quota is spent."""
        today = clock.day_of(self.now())
        if app.sent_on.get(today, 0) >= app.daily_quota:
            raise Errcode(45009, "reach max api daily quota limit")
        app.sent_on[today] = app.sent_on.get(today, 0) + 1

    def next_id(self) -> str:
        """A message id, growing, in digits."""
        return str(next(self._ids))


def _identifier(prefix: str, *parts: str) -> str:
    digest = hashlib.sha256("|".join(parts).encode()).digest()
    return prefix + urlsafe_b64encode(digest).decode()[:27]
