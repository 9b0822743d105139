"""Every value that the environment may change, read and checked once.

`settings()` gives the current values. A field `wechat_api_base` is set by the variable `WECHAT_API_BASE`.
The profile decides how strict we are: `development` accepts the built-in development secrets, `production`
refuses to start with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from backend.partner_settings import PartnerSettings

DEVELOPMENT_SECRET = "development-only"  # noqa: S105 - the value that production refuses


class SettingsError(ValueError):
    """The environment holds a value that we cannot work with; the message names the variable."""


def _secret() -> str:
    return DEVELOPMENT_SECRET


@dataclass(frozen=True, kw_only=True)
class Settings(PartnerSettings):
    """What the environment decides. Times are in seconds unless the name says otherwise."""

    # -- where we are ---------------------------------------------------------------------------
    profile: Literal["development", "production"] = "development"
    """`production` refuses development secrets, embedded servers and the sandbox."""
    sandbox: bool = False
    """True when the partners are our own simulators."""
    data_dir: str = ""
    """Where the embedded servers keep their data; empty means the user's data directory."""
    public_base: str = "http://127.0.0.1:8000"
    """How the world reaches us; absolute addresses are built from it, never from the Host header."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    # -- databases ------------------------------------------------------------------------------
    database_url: str = ""
    """PostgreSQL of the service, `postgresql://user:password@host:5432/name`; empty starts the embedded one."""
    migration_database_url: str = ""
    """PostgreSQL as the owner of the tables, for `migrate`; empty means `database_url`."""
    database_role: str = "zhangban_service"
    """Role that every service connection takes: it may not change the ledger."""
    reader_role: str = "zhangban_reader"
    """Role that may read the schema `acceptance` and nothing else; an examiner's login is made a member."""
    database_pool_size: int = 10
    """Connections per process."""
    database_reserved_connections: int = 2
    """Connections per process on top of these, opened when all others are in use and for partners' pushes alone: a rush
    of residents keeps no payment callback waiting."""
    database_connect_timeout: float = 3.0
    """How long connecting may take."""
    database_acquire_timeout: float = 2.0
    """How long work waits for a free connection before it is refused with 503."""
    database_statement_timeout: float = 3.0
    """PostgreSQL ends a statement after this time; one second later we give the connection up."""
    redis_url: str = ""
    """Redis or Valkey, `redis://host:6379/0`; empty starts the embedded one."""
    redis_timeout: float = 0.5
    """How long one command may take."""
    request_timeout: float = 10.0
    """The longest that one request may take before it is answered 503."""
    body_limit: int = 1_048_576
    """Largest request body in bytes; larger ones are answered 413."""

    # -- serving --------------------------------------------------------------------------------
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on."""
    workers: int = 1
    """Processes that share the port."""
    drain_seconds: float = 1.0
    """How long /readyz answers 503 before the subscriber closes."""
    shutdown_seconds: float = 12.0
    """How long requests and jobs in flight may take to finish after that."""
    trusted_proxies: str = ""
    """Comma-separated networks whose X-Forwarded-For is trusted."""
    docs: bool = True
    """Whether /docs and /openapi.json are served."""
    otlp_endpoint: str = ""
    """Where OpenTelemetry traces go; empty switches tracing off."""

    # -- secrets --------------------------------------------------------------------------------
    data_keys: str = field(default_factory=_secret)
    """Key ring that seals personal data: `kid:hex32,kid:hex32`, the first one seals, all open."""
    fingerprint_keys: str = field(default_factory=_secret)
    """Key ring of the blind indexes, same form, first one current."""
    token_secret: str = field(default_factory=_secret)
    """Signs cursors and the tags of refresh tokens."""
    data_cipher: Literal["aes-gcm", "sm4-gcm"] = "aes-gcm"
    """Cipher of newly sealed personal data; the digest of blind indexes follows it."""

    # -- identity -------------------------------------------------------------------------------
    token_issuer: str = "zhangban"  # noqa: S105 - a name
    """What access tokens name as their issuer."""
    access_token_seconds: int = 900
    """Life of a resident's access token, a tenth more or less."""
    signing_key_lead_seconds: int = 600
    """How long a new signing key is published before it signs; longer than anyone keeps our key set."""
    refresh_token_seconds: int = 30 * 86_400
    """A refresh token unused for this long dies."""
    session_absolute_seconds: int = 180 * 86_400
    """However busy it is, a session ends after this time."""
    refresh_grace_seconds: int = 10
    """The same refresh token repeated within this time gives the same successor."""
    sessions_per_resident: int = 10
    """One sign-in more ends the session that was unused for the longest time."""
    staff_idle_seconds: int = 900
    """A staff session unused for this long is over (GB/T 22239: 超时退出)."""
    staff_session_seconds: int = 12 * 3600
    """However busy it is, a staff session ends after this time."""
    staff_password_days: int = 90
    """After this many days staff must choose a new password (GB/T 22239: 定期更换); 0 never."""
    agency_clock_skew_seconds: int = 300
    """How far the time of a signed request may be from ours."""

    # -- delegation -----------------------------------------------------------------------------
    delegations_given: int = 5
    """Delegations and open offers that one resident may give at a time."""
    delegations_held: int = 5
    """Residents for whom one resident may act at a time."""
    delegation_longest_days: int = 366
    """A delegation ends after so many days at the latest; it can be given anew."""
    delegation_invitation_minutes: int = 1440
    """How long the code of an offer can be accepted."""

    # -- events and jobs ------------------------------------------------------------------------
    ledger_seal_seconds: float = 1.0
    """How often the worker seals new events into the hash chain."""
    ledger_shards: int = 16
    """Chains that events are spread over; may be changed at any time, old chains simply end."""
    ledger_unsealed_alarm_seconds: float = 60.0
    """An event that waits for its seal for longer than this is a finding of `verify-audit`."""
    anchor_file: str = ""
    """Where the ledger's hourly anchors go: a disk that the database's owner cannot write. The log has them too."""
    job_lease_seconds: int = 30
    """A job whose worker has been silent for this long is given to another."""
    job_retry_seconds: str = "1,5,30,120,600"
    """Delays between attempts of a failing job; after the last one it is kept as a dead letter."""
    job_poll_seconds: float = 0.1
    """How often an idle worker looks for jobs and messages; it is not woken, because waking makes commits wait for each
    other."""
    job_concurrency: int = 20
    """Jobs that one worker runs at once, and residents to whom it brings messages at once."""
    job_log_days: int = 14
    """How long the log of ended jobs is kept; dead letters stay until an operator deals with them."""
    idempotency_hours: int = 24
    """How long an Idempotency-Key and its answer are kept."""

    # -- catalogue ------------------------------------------------------------------------------
    item_code_scheme: Literal["national-31", "national-33"] = "national-31"
    """How item codes are composed: `backend.catalogue.codes.SCHEMES`. [inferred: the split of the last 13]"""

    # -- appointments ---------------------------------------------------------------------------
    slot_horizon_days: int = 7
    """Slots are generated every night for this many days beyond the day whose places are released."""
    replacement_hours: int = 24
    """How long another slot is kept for a resident whose slot the hall has closed, but not into the visit itself."""
    booking_concurrency: int = 4
    """Bookings that one process works on at once; the other connections of its pool stay free for everything else."""
    booking_queue: int = 200
    """Bookings that may queue in one process; one more is refused with Retry-After."""
    booking_wait_seconds: float = 1.0
    """The longest that a booking waits for its turn."""
    free_places_seconds: float = 0.8
    """For how long a process shows free places that it has read, and how long the count before the database lives."""
    booking_clock_seconds: float = 1.0
    """How often a worker ends holds and offers that ran out and holds draws that are due."""
    freed_place_min_seconds: float = 30.0
    """A place that comes back to a full slot with an empty waiting list can be taken again after this time at the
    earliest."""
    freed_place_max_seconds: float = 600.0
    """… and after this time at the latest; when exactly is drawn by lot. 0: at once."""
    booking_taps_per_minute: int = 60
    """Bookings, holds and moves that one resident may try in a minute."""

    # -- notifications --------------------------------------------------------------------------
    notification_templates: str = ""
    """File with the partners' template ids of this installation; empty means those of the sandbox."""
    notification_lease_seconds: float = 30.0
    """How long a worker leases a resident's messages; longer than any call to a partner takes."""
    notification_retry_seconds: str = "2,10,60,300"
    """Delays between attempts on one channel; after the last one the next channel is tried."""
    notification_quota_pause_seconds: float = 60.0
    """How long a channel is paused after its partner answered that the day's quota is spent."""
    notification_sweep_seconds: float = 60.0
    """A message that has been due for this long while no worker delivers it is an alarm in the log."""
    notification_quarantine_after: int = 5
    """A message on which this many workers died in a row is quarantined."""
    notification_order_wait_seconds: float = 5.0
    """How long a message waits for that of an earlier event about the same subject."""
    consent_pairing_seconds: float = 600.0
    """The front end's report and WeChat's event within this time are about the same popup."""

    # -- payments -------------------------------------------------------------------------------
    payment_order_minutes: int = 30
    """How long an order may be paid; from 1 to 110, because the front end's parameters live two hours."""
    payment_check_seconds: float = 60.0
    """The time after an order was made until the first query when no notice came; doubled each time."""
    payment_check_longest_seconds: float = 300.0
    """The longest pause between two queries of an open order; with one lost answer well below 15 minutes (I-1)."""
    payment_last_check_seconds: float = 600.0
    """The time after an order was closed until a last query whether money came all the same."""
    payment_sweep_seconds: float = 5.0
    """How often workers look for orders to check."""
    refund_second_person_above_fen: int = 20_000
    """Refunds that staff request need a second person when those of the payment that had none come to more, in fen."""
    refund_check_seconds: float = 60.0
    """The time after a refund was promised or sent until the first query; doubled each time."""
    refund_check_longest_seconds: float = 3600.0
    """The longest pause between two queries of a refund."""
    refund_sweep_seconds: float = 15.0
    """How often workers look for refunds to check."""
    bill_hour: int = 10
    """From this hour on (Asia/Shanghai) the bill of the day before is fetched."""
    bill_days: int = 7
    """For how many days back a bill that was not compared yet is fetched again."""
    bill_queries: int = 8
    """Numbers that differ from a bill, queried at once."""

    # -- cases ----------------------------------------------------------------------------------
    case_number_format: str = "{item}{date}{sequence:04d}"
    """办件编号: item code, day in Asia/Shanghai, sequence of the item and day. [local: provinces differ]"""
    case_number_sequence_max: int = 9999
    """The last number of an item and day; one more is refused and reported, never repeated."""
    cutoff_hour: int = 17
    """Received at or after this hour, or on a day off, counts as the next working day. [local]"""
    deadline_starts: Literal["next-working-day", "same-day"] = "next-working-day"
    """Which day is day one of a limit. [inferred: no national text read]"""
    case_link_days: int = 730
    """A resident who confirms a phone number sees the cases of that number received in so many days; older ones may
    be of a person who had the number before."""
    case_lookups_per_hour: int = 10
    """Tries to look one case up without signing in; four characters must not be found out by trying."""
    case_lookups_per_day: int = 30
    """The same per day."""
    case_news_days: int = 365
    """What happened longer ago is history that a department fills in: no message is sent about it."""

    # -- deliveries -----------------------------------------------------------------------------
    courier_tracker: str = "kuaidi100"
    """The tracker that is queried when a parcel's own courier does not report: one of the configured trackers."""
    courier_clock_hours: float = 2.0
    """How far a courier's clock may be from ours: what lies further in the future is not taken."""
    courier_manual_days: int = 14
    """How long before a waybill was entered by hand its parcel may have been on its way."""
    courier_silence_hours: float = 12.0
    """A tracker that pushes and has not for so long is asked."""
    courier_poll_minutes: float = 120.0
    """How often it is asked then, and trackers that never push; never sooner than the tracker allows."""
    courier_sweep_seconds: float = 15.0
    """How often a worker looks which parcels are to be asked about and subscribed to."""
    delivery_still_days: int = 5
    """A parcel that has not moved for so many days is looked into."""
    delivery_unknown_hours: int = 72
    """A courier who does not know a parcel so long after it was ordered has lost it, or the number is wrong."""
    delivery_batch: int = 200
    """Parcels that go out in one batch at most."""
    trace_picture: str = ""
    """https address of the picture of what is sent, in WeChat's trace component; empty switches the component off."""
    postage_payer: Literal["free", "office", "resident"] = "office"
    """Who pays for posting a result when its guide charges nothing for it. [local]"""
    postage_tariff: str = "city:1000,province:1200,country:2000"
    """What a resident pays then, in fen, by how far it goes from the department. [local]"""
    postage_basis: str = "邮政速递物流资费标准"
    """The rule behind that tariff, as the resident reads it."""
    postage_collect: bool = True
    """Whether a resident may have the courier take the postage at the door (到付) instead."""
    addresses_per_resident: int = 20
    """Addresses that one person may keep."""
    documents_fetched: bool = True
    """Whether a resident may have a courier fetch documents for the office, which pays on arrival (到付). [local]"""
    pickup_kept_days: int = 30
    """How long a document is kept at a counter, unless the office that brings it sets another time. [local]"""
    pickup_reminders: str = "7,1"
    """How many days before that its owner is reminded."""
    hand_over_tries: int = 5
    """So often in a row a person at the counter may fail to prove that it is theirs."""
    hand_over_rest_minutes: float = 30.0
    """Then further attempts are refused for so long."""

    def __post_init__(self) -> None:
        if self.profile == "production":
            for name in ("data_keys", "fingerprint_keys", "token_secret"):
                if getattr(self, name) in ("", DEVELOPMENT_SECRET):
                    raise SettingsError(f"{name.upper()} must be set in production")
            if self.sandbox:
                raise SettingsError("SANDBOX must be off in production")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read and check every value.

        Raises SettingsError naming the variable that cannot be read.
        """
        hints = get_type_hints(cls)
        values: dict[str, Any] = {}
        for each in fields(cls):
            raw = environment.get(each.name.upper())
            if raw is not None and (raw != "" or each.default is MISSING or each.default == ""):
                values[each.name] = _parsed(each.name.upper(), raw, hints[each.name])
        return cls(**{name: value for name, value in values.items() if value != "" or hints[name] is str})


def _parsed(name: str, raw: str, kind: Any) -> Any:
    if choices := get_args(kind):
        if raw not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {raw!r}")
        return raw
    if kind is bool:
        if raw.lower() not in {"1", "0", "true", "false", "yes", "no", "on", "off"}:
            raise SettingsError(f"{name} must be true or false, not {raw!r}")
        return raw.lower() in {"1", "true", "yes", "on"}
    try:
        return kind(raw)
    except ValueError as error:
        raise SettingsError(f"{name} must be a {kind.__name__}, not {raw!r}") from error


_current: Settings | None = None


def settings() -> Settings:
    """The values in force, read from the environment at the first call."""
    global _current
    if _current is None:
        _current = Settings.from_environment(os.environ)
    return _current


def configure(values: Settings) -> None:
    """Put these values in force for this process; commands do it once before anything else starts."""
    global _current
    _current = values


@contextmanager
def using(**changes: Any) -> Iterator[Settings]:
    """Other values inside the block, for tests and the demo."""
    global _current
    before = settings()
    _current = replace(before, **changes)
    try:
        yield _current
    finally:
        _current = before


def environment(**changes: str) -> dict[str, str]:
    """The environment for a child process: ours with these changes."""
    return {**os.environ, **changes}
