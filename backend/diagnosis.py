"""What is missing or unsafe in the configuration and around us, in plain words: `zhangban doctor`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import asyncpg
import msgspec

from backend import cache, calendar, clock, crypto, database, migrations, partners
from backend.errors import DomainError
from backend.partners.alipay import merchant as alipay
from backend.partners.wechat_pay import merchant as wechat_pay
from backend.settings import DEVELOPMENT_SECRET, Settings, SettingsError, settings

Weight = Literal["broken", "unsafe", "missing", "note"]
"""broken: does not work at all; unsafe, missing: not good enough for the profile; note: good to know."""
OLDEST_POSTGRES = 15
SKEW_SECONDS = 2.0
STOP_SECONDS = 15.0
"""Supervisors kill a process that has not ended by then."""


class Remark(msgspec.Struct, frozen=True):
    """One thing worth saying: how bad it is, what it is about, what is so, and what to do."""

    weight: Weight
    about: str
    what: str
    remedy: str

    @property
    def fatal(self) -> bool:
        """Whether the service must not run like this."""
        return self.weight != "note"


def of_settings(values: Settings, *, production: bool) -> list[Remark]:
    """The remarks that follow from the settings alone."""
    found = [*_secrets(values), *_servers(values), *_exposure(values), *_wechat(values), *_channels(values)]
    found += [Remark(*each) for each in partners.faults(values)]
    # Away from production the same is a hint and stops no process.
    return found if production else [_softened(each) for each in found]


def _softened(remark: Remark) -> Remark:
    return remark if remark.weight == "broken" else msgspec.structs.replace(remark, weight="note")


def _secrets(values: Settings) -> Iterator[Remark]:
    for name in ("data_keys", "fingerprint_keys", "token_secret"):
        if getattr(values, name) == DEVELOPMENT_SECRET:
            recipe = "secrets.token_urlsafe(48)" if name == "token_secret" else '"k1:" + secrets.token_hex(32)'
            yield Remark(
                "unsafe",
                name.upper(),
                "is the built-in development secret, which is public",
                f"set one of your own: python -c 'import secrets; print({recipe})'",
            )
    for name, ring in (("DATA_KEYS", crypto.data_ring), ("FINGERPRINT_KEYS", crypto.fingerprint_ring)):
        try:
            ring()
        except SettingsError as error:
            yield Remark("broken", name, str(error), "write it as id:64 hexadecimal digits, comma separated")
    if len(values.token_secret) < 32 and values.token_secret != DEVELOPMENT_SECRET:
        yield Remark("unsafe", "TOKEN_SECRET", "is shorter than 32 characters", "set a longer random one")


def _servers(values: Settings) -> Iterator[Remark]:
    for name, server in (("database_url", "PostgreSQL"), ("redis_url", "Valkey")):
        url = getattr(values, name)
        if not url:
            yield Remark(
                "unsafe",
                name.upper(),
                f"is not set, so a bundled {server} of this machine is used",
                f"run {server} yourself, with backups, and set its address",
            )
        elif _leaves_the_machine(url) and not _is_encrypted(url):
            yield Remark(
                "unsafe",
                name.upper(),
                f"reaches {server} on another machine without TLS",
                "add sslmode=verify-full" if name == "database_url" else "use rediss://",
            )
    if values.drain_seconds + values.shutdown_seconds + 1.5 > STOP_SECONDS:
        what = f"draining and finishing may take longer than {STOP_SECONDS:.0f} seconds"
        yield Remark("unsafe", "DRAIN_SECONDS, SHUTDOWN_SECONDS", what, "lower one of them")


def _leaves_the_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." in host  # a bare name is a neighbour in the same compose network


def _is_encrypted(url: str) -> bool:
    safe = ("sslmode=require", "sslmode=verify-ca", "sslmode=verify-full")
    return url.startswith("rediss://") or any(mode in urlsplit(url).query for mode in safe)


def _exposure(values: Settings) -> Iterator[Remark]:
    if values.sandbox:
        yield Remark("unsafe", "SANDBOX", "is on: partners are simulators with open test controls", "switch it off")
    if not values.public_base.startswith("https://"):
        yield Remark("unsafe", "PUBLIC_BASE", "is not an https:// address", "set the address residents use")
    if not values.trusted_proxies:
        what = "is empty, so limits see the proxy's address in place of the resident's"
        yield Remark("missing", "TRUSTED_PROXIES", what, "name the networks of your proxies")
    if not values.anchor_file:
        what = "is not set: anchors of the ledger are only in the log"
        yield Remark("note", "ANCHOR_FILE", what, "name a file on a disk that the database's owner cannot write")


def _wechat(values: Settings) -> Iterator[Remark]:
    for name in ("wechat_appid", "wechat_secret"):
        if not getattr(values, name):
            what = "is not set: residents cannot sign in"
            yield Remark("missing", name.upper(), what, "copy it from mp.weixin.qq.com")
    for name in ("wechat_push_token", "wechat_push_aes_key"):
        if not getattr(values, name):
            what = "is not set: what residents answer to popups is only known from the front end"
            yield Remark("missing", name.upper(), what, "switch on message push and copy it from mp.weixin.qq.com")
    if values.wechat_push_mode == "plain":
        what = "accepts pushed messages whose body nothing signs"
        yield Remark("unsafe", "WECHAT_PUSH_MODE", what, "choose safe mode, here and at mp.weixin.qq.com")
    if not values.wechat_api_base.startswith("https://"):
        yield Remark("unsafe", "WECHAT_API_BASE", "is not an https:// address", "remove it to reach WeChat itself")
    if values.wechat_miniprogram_state != "formal":
        what = f"is {values.wechat_miniprogram_state}: messages open a version that residents cannot open"
        yield Remark("unsafe", "WECHAT_MINIPROGRAM_STATE", what, "set it to formal")
    if not values.notification_templates:
        what = "is not set: the template ids of the simulators are used"
        yield Remark("missing", "NOTIFICATION_TEMPLATES", what, "name a file with the ids that WeChat gave you")
    if not values.wechat_oa_appid:
        what = "is not set: no messages through the official account"
        yield Remark("note", "WECHAT_OA_APPID", what, "set it with its secret if you have one")
    if not values.sms_api_base:
        yield Remark("note", "SMS_API_BASE", "is not set: no messages by SMS", "set it if you have a gateway")


def _channels(values: Settings) -> Iterator[Remark]:
    """Everything that `serve` and `work` would refuse to start with, at once and with what to do."""
    for name, what, remedy in (*wechat_pay.faults(values), *alipay.faults(values)):
        yield Remark("broken", name, what, remedy)
    if not values.wechat_pay_mchid and not values.alipay_app_id:
        yield Remark("note", "WECHAT_PAY_MCHID", "is not set: no fee can be paid", "set it with its keys")
    if values.wechat_pay_mchid and not values.wechat_pay_v2_key:
        what = "is not set: notices of refunds made in the merchant's console cannot be opened"
        yield Remark("note", "WECHAT_PAY_V2_KEY", what, "copy it from pay.weixin.qq.com if refunds are made there")
    used = {
        "WECHAT_PAY_API_BASE": (values.wechat_pay_mchid, values.wechat_pay_api_base),
        "WECHAT_PAY_BACKUP_BASE": (values.wechat_pay_mchid, values.wechat_pay_backup_base),
        "ALIPAY_API_BASE": (values.alipay_app_id, values.alipay_api_base),
    }
    for name, (switched_on, base) in used.items():
        if switched_on and not base.startswith("https://"):
            yield Remark("unsafe", name, "is not an https:// address", "remove it to reach the platform itself")


# -- what answers -------------------------------------------------------------------------------

_FACTS = """
SELECT current_setting('server_version_num')::int / 10000 AS version, clock_timestamp() AS now,
       current_setting('fsync') = 'on' AS fsync, current_setting('full_page_writes') = 'on' AS full_page_writes,
       current_setting('synchronous_commit') <> 'off' AS synchronous_commit,
       current_setting('max_connections')::int AS connections, current_setting('server_encoding') AS encoding,
       (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS superuser,
       EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1) AS role, to_regclass('public.events') IS NOT NULL AS ledger
"""


_MONEY = """
SELECT (SELECT count(*) FROM bill_differences WHERE state = 'open') AS open,
       (SELECT count(*) FROM bill_days WHERE state = 'refused') AS refused,
       (SELECT count(DISTINCT (paid_at AT TIME ZONE 'Asia/Shanghai')::date) FROM payments p
        WHERE paid_at BETWEEN now() - interval '30 days' AND now() - interval '3 days' AND NOT EXISTS (
            SELECT FROM bill_days b WHERE b.channel = p.channel AND b.state IN ('compared', 'empty')
            AND b.day = (p.paid_at AT TIME ZONE 'Asia/Shanghai')::date)) AS overdue
"""


async def of_database(*, production: bool) -> list[Remark]:
    """The remarks about PostgreSQL, the service's role in it and the clocks."""
    given = database.credentials(settings().database_url)
    try:
        connection = await asyncpg.connect(**given, timeout=settings().database_connect_timeout)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [Remark("broken", "DATABASE_URL", f"PostgreSQL does not let us in: {error}", "start it, or correct it")]
    try:
        facts = await connection.fetchrow(_FACTS, settings().database_role)
        assert facts is not None
        found = [*_guarantees(facts), *_clocks(facts), *await _role(connection, facts)]
    finally:
        await connection.close()
    if facts["role"] and facts["ledger"]:
        found += await _contents()
    return found if production else [_softened(each) for each in found]


def _guarantees(facts: Any) -> Iterator[Remark]:
    if facts["version"] < OLDEST_POSTGRES:
        what = f"is version {facts['version']}; we need {OLDEST_POSTGRES} or newer"
        yield Remark("broken", "PostgreSQL", what, "upgrade it")
    if facts["encoding"] != "UTF8":
        yield Remark("broken", "PostgreSQL", f"keeps text as {facts['encoding']}", "make the database with UTF8")
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if not facts[name]:
            what = f"runs with {name} off: what was confirmed to residents is lost when the machine falls"
            yield Remark("unsafe", "PostgreSQL", what, f"set {name} = on")
    values = settings()
    wanted = values.workers * (values.database_pool_size + values.database_reserved_connections) + 8
    if wanted > facts["connections"]:
        what = f"allows {facts['connections']} connections, we may open {wanted}"
        yield Remark("missing", "PostgreSQL", what, "raise max_connections or lower DATABASE_POOL_SIZE")


def _clocks(facts: asyncpg.Record) -> Iterator[Remark]:
    skew = abs((facts["now"] - clock.now()).total_seconds())
    if skew > SKEW_SECONDS:
        what = f"the clock of this machine and that of the database are {skew:.0f} seconds apart"
        yield Remark("unsafe", "clock", what, "run NTP on both")


async def _role(connection: asyncpg.Connection[Any], facts: asyncpg.Record) -> list[Remark]:
    role = settings().database_role
    if not facts["role"] or not facts["ledger"]:
        return [Remark("broken", "migrations", "the database was not prepared for us", "run zhangban migrate")]
    found = []
    for table in migrations.APPEND_ONLY:
        for who, name in ((role, "DATABASE_ROLE"), (None, "DATABASE_URL")):
            able = await connection.fetchval(
                "SELECT bool_or(has_table_privilege(coalesce($1::name, session_user), to_regclass($2), p)) "
                "FROM unnest('{UPDATE,DELETE,TRUNCATE}'::text[]) AS p",
                who,
                table,
            )
            if able:
                what = f"{'the role ' + role if who else 'the user it names'} can change or delete rows of {table}"
                remedy = (
                    "run zhangban migrate" if who else "migrate as the owner (MIGRATION_DATABASE_URL), serve as another"
                )
                found.append(Remark("unsafe", name, what, remedy))
    if facts["superuser"]:
        what = "names a superuser: its password opens the whole server"
        found.append(Remark("unsafe", "DATABASE_URL", what, "make a user that is only a member of the role"))
    return found


async def _contents() -> list[Remark]:
    await database.connect()
    try:
        found = []
        if missing := await migrations.pending():
            return [Remark("broken", "migrations", f"{len(missing)} are not applied", "run zhangban migrate")]
        dead = await database.fetch_value("SELECT count(*) FROM pgqueuer WHERE status = 'failed'")
        if dead:
            found.append(Remark("note", "jobs", f"{dead} have failed for good", 'look for "job is dead" in the logs'))
        late = await database.fetch_value(
            "SELECT count(*) FROM unsealed_events u JOIN events e ON e.id = u.event_id "
            "WHERE e.created_at < now() - make_interval(secs => $1)",
            settings().ledger_unsealed_alarm_seconds,
        )
        if late:
            found.append(Remark("missing", "ledger", f"{late} events wait for their seal", "run zhangban work"))
        this, soon = clock.today().year, clock.today().replace(day=28).month >= 11
        known = await calendar.load()
        for year in (this, this + 1) if soon else (this,):
            if not known.covers(year):
                weight: Weight = "missing" if year == this else "note"
                what = f"the working days of {year} are not known, so due dates in it cannot be counted"
                found.append(Remark(weight, "calendar", what, "upgrade chinesecalendar or enter the year by hand"))
        return [*found, *await _money()]
    except DomainError as error:
        return [Remark("broken", "DATABASE_URL", f"the service's role is not let in: {error}", "run zhangban migrate")]
    finally:
        await database.close()


async def _money() -> list[Remark]:
    """The findings of reconciliation that are still open."""
    facts = await database.fetch_row(_MONEY)
    assert facts is not None
    remarks = (
        ("open", "differences between our books and bills are unexplained", "look at /v1/staff/bill-differences"),
        ("refused", "bills failed their checks", "run zhangban reconcile --date for their days"),
        ("overdue", "days with payments have no compared bill", "run zhangban work, or zhangban reconcile"),
    )
    return [Remark("missing", "money", f"{facts[name]} {what}", do) for name, what, do in remarks if facts[name]]


async def of_cache(*, production: bool) -> list[Remark]:
    """The remarks about Redis or Valkey."""
    await cache.connect()
    try:
        facts = await cache.ask(lambda client: client.info("memory"))
    except cache.CacheDown:
        what = "no answer: reads go on, sign-in and codes are refused"
        return [Remark("broken", "REDIS_URL", what, "start Valkey or Redis, or correct it")]
    finally:
        await cache.close()
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        what = f"forgets keys when it is full ({policy}), and limits with them"
        found = [Remark("missing", "Valkey", what, "set maxmemory-policy noeviction")]
        return found if production else [_softened(each) for each in found]
    return []


async def of_everything(*, production: bool) -> list[Remark]:
    """All of it. The addresses of both servers must be known."""
    return [
        *of_settings(settings(), production=production),
        *await of_database(production=production),
        *await of_cache(production=production),
    ]
