"""The HTTP client that all live partners share.

One aiohttp session for the process; per partner one circuit breaker. A call has a bound on connecting and
one on the whole including its repeats, reads at most `partner_body_limit` bytes, follows no redirect,
verifies TLS, and refuses to run while a database transaction is open. Logs and metrics know the partner,
the call and the outcome; never an address with its query, a header or a body, because tokens and personal
data travel there.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from prometheus_client import Counter, Histogram
from yarl import URL

from backend import clock, database
from backend.partners.breaker import Breaker
from backend.partners.errors import CalledInsideTransaction, PartnerBusy, PartnerError, PartnerUnreachable
from backend.settings import Settings

# Functions import aiohttp: a process that calls no partner (`migrate`, `check-invariants`) never loads it.
if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

log = logging.getLogger("zhangban.partners")

ATTEMPTS = 3
"""Most attempts of one call, where repeating is safe."""
AWAY = 60.0
"""Seconds for which a partner's second address is tried first after no connection to the first came about."""
PAUSE = 0.1
"""Seconds before the first repeat; doubled for each further one, with jitter."""

CALLS = Counter("zhangban_partner_calls_total", "Calls to partners by outcome.", ("partner", "call", "outcome"))
SECONDS = Histogram(
    "zhangban_partner_call_seconds",
    "How long a call to a partner took, repeats included.",
    ("partner", "call"),
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)


class Repeat(Enum):
    """When a call may be tried again by itself."""

    ALWAYS = "always"
    """The partner treats the same call twice as once."""
    IF_NEVER_SENT = "if-never-sent"
    """Only when no connection came about, so that it cannot have been done."""


class Reply(msgspec.Struct, frozen=True):
    """The partner's answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Media type in lower case without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Wire:
    """The process's one HTTP session. It is opened at the first call and closed with the process."""

    def __init__(self, values: Settings) -> None:
        self._values = values
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        import aiohttp

        if self._session is None or self._session.closed:
            connect = self._values.partner_connect_timeout
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect),
                connector=aiohttp.TCPConnector(limit=100, ttl_dns_cache=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "zhangban"},
            )
            # aiohttp repeats a GET by itself when the connection breaks. A wx.login code is used up by a GET: whether
            # to repeat is decided by `Repeat` alone.
            self._session._retry_connection = False
        return self._session

    async def close(self) -> None:
        """End every connection."""
        if self._session is not None:
            await self._session.close()
        self._session = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `path` starts with a slash and is put behind the partner's base."""

    method: str
    path: str
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    repeat: Repeat = Repeat.IF_NEVER_SENT
    sign: Callable[[str], Mapping[str, str]] | None = None
    """Makes headers anew for every attempt from the target (path and query) exactly as it is sent. `path` then holds
    the query too, already escaped, and is sent unchanged."""
    reads_failures: bool = False
    """`read` gets answers of 429 and 5xx too and must raise for them."""
    limit: int | None = None
    """Largest answer in bytes; None means `partner_body_limit`."""
    seconds: float | None = None
    """How long the whole may take; None means `partner_timeout`."""


class PartnerClient:
    """Calls to one partner at one base address. `backup` is a second address of the same partner, tried when no
    connection to the first comes about."""

    def __init__(self, name: str, base: str, wire: Wire, values: Settings, *, backup: str = "") -> None:
        for each in (base, backup or base):
            if values.profile == "production" and not each.startswith("https://"):
                raise PartnerInsecure(f"{name}: production speaks https only, not {each.partition(':')[0]}")
        self.name = name
        self.base = base.rstrip("/")
        self.bases = tuple(dict.fromkeys((self.base, (backup or base).rstrip("/"))))
        self.breaker = Breaker(name)
        self._away_until = 0.0
        self._wire = wire
        self._seconds = values.partner_timeout
        self._limit = values.partner_body_limit

    async def send(self, call: str, request: Request, read: Callable[[Reply], T]) -> T:
        """Send a request and read the answer: any status below 500 except redirects and 429.

        `call` is the name under which it is counted and logged. `read` makes a value of the reply or raises a
        PartnerError. The whole takes at most `partner_timeout` seconds.

        Raises PartnerUnreachable (no usable answer), PartnerBusy (429), CalledInsideTransaction (our
        mistake), and what `read` raises.
        """
        if database.in_transaction():
            raise CalledInsideTransaction(f"{self.name}.{call} was called while a transaction is open")
        started = clock.monotonic()
        outcome = "cancelled"
        try:
            value = await self._guarded(request, read)
            outcome = "ok"
            return value
        except PartnerError as error:
            outcome = error.partner_code or error.code
            raise
        finally:
            took = clock.monotonic() - started
            CALLS.labels(self.name, call, outcome).inc()
            SECONDS.labels(self.name, call).observe(took)
            facts = {"partner": self.name, "call": call, "outcome": outcome, "ms": round(took * 1000, 1)}
            level = logging.DEBUG if outcome == "ok" else logging.WARNING
            log.log(level, "call to a partner ended", extra={"event": "partner.called", **facts})

    async def _guarded(self, request: Request, read: Callable[[Reply], T]) -> T:
        self.breaker.enter()
        judge = self.breaker.abandoned
        try:
            async with asyncio.timeout(self._seconds if request.seconds is None else request.seconds):
                value = await self._repeated(request, read)
            judge = self.breaker.succeeded
            return value
        except TimeoutError:
            # Where the time went is unknown, so the partner may have done it.
            judge = self.breaker.failed
            raise PartnerUnreachable(self.name, "timeout", maybe_done=True) from None
        except PartnerError as error:
            judge = self.breaker.failed if isinstance(error, PartnerUnreachable) else self.breaker.succeeded
            raise
        finally:
            judge()

    async def _repeated(self, request: Request, read: Callable[[Reply], T]) -> T:
        attempt = 1
        while True:
            base = self._preferred()
            try:
                return await self._once(base, request, read)
            except PartnerUnreachable as error:
                safe = request.repeat is Repeat.ALWAYS or not error.maybe_done
                if not error.maybe_done:
                    self._avoid(base)
                if not safe or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            attempt += 1

    def _preferred(self) -> str:
        return self.bases[-1] if clock.monotonic() < self._away_until else self.bases[0]

    def _avoid(self, base: str) -> None:
        self._away_until = clock.monotonic() + AWAY if base == self.bases[0] else 0.0

    async def _once(self, base: str, request: Request, read: Callable[[Reply], T]) -> T:
        import aiohttp

        # The chain is cut with `from None`: the texts of aiohttp's errors hold addresses with their tokens.
        try:
            url = URL(base + request.path, encoded=request.sign is not None)
            fresh = request.sign(url.raw_path_qs) if request.sign is not None else {}
            async with self._wire.session().request(
                request.method,
                url,
                params=request.query or None,
                data=request.body,
                headers={**request.headers, **fresh},
                allow_redirects=False,
            ) as answer:
                reply = await self._read(answer, request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise PartnerUnreachable(self.name, _kind(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise PartnerUnreachable(self.name, _kind(error), maybe_done=True) from None
        except ValueError as error:  # an address that cannot be one, a header that cannot be one
            raise PartnerUnreachable(self.name, _kind(error)) from None
        return read(reply)

    async def _read(self, answer: aiohttp.ClientResponse, request: Request) -> Reply:
        if 300 <= answer.status < 400:
            raise PartnerUnreachable(self.name, "redirect", maybe_done=True)
        if answer.status == 429 and not request.reads_failures:
            raise PartnerBusy(self.name, "429", retry_after=retry_after_seconds(answer.headers.get("Retry-After")))
        if answer.status >= 500 and not request.reads_failures:
            raise PartnerUnreachable(self.name, str(answer.status), maybe_done=True)
        body, limit = bytearray(), self._limit if request.limit is None else request.limit
        async for chunk in answer.content.iter_chunked(65_536):
            body += chunk
            if len(body) > limit:
                raise PartnerUnreachable(self.name, "too-large", maybe_done=True)
        return Reply(answer.status, join_headers(answer.headers.items()), bytes(body))


class PartnerInsecure(ValueError):
    """The configuration would send secrets without TLS in production."""


def decoded(partner: str, reply: Reply) -> dict[str, Any]:
    """The reply's JSON object. Raises PartnerUnreachable when it is anything else (an HTML page, half a
    body)."""
    try:
        value = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PartnerUnreachable(partner, "not-json", maybe_done=True) from None
    if not isinstance(value, dict):
        raise PartnerUnreachable(partner, "not-json", maybe_done=True)
    return value


def _kind(error: Exception) -> str:
    """An error's class as a word for logs and metrics; its text may hold secrets."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "tls"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "connect-timeout"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect"
    return "broken-connection"


def join_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header names in lower case; a repeated header is joined, so that its check sees both."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def retry_after_seconds(header: str | None) -> float | None:
    """A Retry-After in seconds; None when it is missing or a date."""
    return float(header) if header is not None and header.isdecimal() else None
