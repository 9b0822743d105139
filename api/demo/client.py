"""The three HTTP clients of the story: a phone, a department's system, and the sandbox's test controls."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import msgspec

from api.demo.processes import DemoFailed
from backend import clock
from backend.identity import sign_request

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "MicroMessenger/8.0.55 NetType/4G MiniProgramEnv"
)
TRIES = 8
"""How often a client asks for what may be repeated."""
BUSY = 503
"""The service cannot now; it says in how many seconds to come again."""


class Answer(NamedTuple):
    """What came back, and how many milliseconds it took."""

    status: int
    body: Any
    ms: float
    headers: dict[str, str]


class Caller:
    """Sends JSON to one address and measures."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http, self.base = http, base

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Callable[[], dict[str, str]] = dict,
        expect: int | None = None,
        any_status: bool = False,
    ) -> Answer:
        """One request, repeated for as long as the service is busy. With `expect`, another status raises DemoFailed;
        without, it must be a success; with `any_status`, any status is the answer, and nothing is repeated."""
        if any_status:
            return await self._ask_once(method, path, body, headers())
        found = await _patiently(lambda: self._ask_once(method, path, body, headers()))
        if found.status != expect if expect else found.status >= 400:
            raise _refused(method, path, found)
        return found

    async def _ask_once(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        content = b"" if body is None else msgspec.json.encode(body)
        given = {**({"content-type": "application/json"} if body is not None else {}), **headers}
        began = clock.monotonic()
        async with self.http.request(method, self.base + path, data=content, headers=given) as answer:
            raw = await answer.read()
        ms = (clock.monotonic() - began) * 1000
        return Answer(answer.status, _decoded(raw), ms, {name.lower(): value for name, value in answer.headers.items()})


def _refused(method: str, path: str, answer: Answer) -> DemoFailed:
    """What is raised for an answer that the story cannot go on with."""
    return DemoFailed(f"{method} {path} 的回答是 {answer.status}：{str(answer.body)[:600]}")


async def _patiently(once: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask, and again for as long as the service is busy, as docs/api-manners.md asks of front ends."""
    for _ in range(TRIES):
        answer = await once()
        if answer.status != BUSY:
            break
        await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
    return answer


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError:
        return raw.decode(errors="replace")


class TestControls(Caller):
    """The sandbox: WeChat and the SMS gateway, and what a tester does to them."""

    async def code(self, person: str, kind: str) -> str:
        """A code as `wx.login` (`login`) or the phone button (`phone`) gives it to the page."""
        return str((await self.ask("POST", f"/sandbox/personas/{person}/{kind}-code")).body["code"])

    async def popup(self, person: str, answers: dict[str, str]) -> None:
        """The person answers a subscribe popup; WeChat pushes an event about it, too."""
        await self.ask("POST", f"/sandbox/personas/{person}/popup", {"answers": answers})

    async def sent(self) -> list[dict[str, Any]]:
        """Every message that reached a persona's WeChat."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/sandbox/sent")).body
        return found

    async def texts(self) -> list[dict[str, Any]]:
        """Every text message that reached a phone."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/sandbox/sms/sent")).body
        return found


class Department(Caller):
    """A department's own system: every request signed, as docs/agency-signing.md says."""

    def __init__(self, http: aiohttp.ClientSession, base: str, name: str, key: str, secret: str) -> None:
        super().__init__(http, base)
        self.name, self._key, self._secret = name, key, secret

    async def send(self, method: str, path: str, body: Any, *, expect: int | None = None) -> Answer:
        """One signed request."""
        content = msgspec.json.encode(body)

        def signed() -> dict[str, str]:
            return dict(sign_request(method, path, content, key=self._key, secret=self._secret))

        return await self.ask(method, path, body, headers=signed, expect=expect)


class Phone(Caller):
    """A resident's phone with the mini-program on it. With `address`, it is behind a proxy that says so."""

    def __init__(self, http: aiohttp.ClientSession, base: str, name: str, *, address: str = "") -> None:
        super().__init__(http, base)
        self.name, self.address, self.tokens = name, address, dict[str, Any]()

    def _headers(self, **more: str) -> dict[str, str]:
        token = self.tokens.get("access_token")
        known = {"authorization": f"Bearer {token}"} if token else {}
        proxy = {"x-forwarded-for": self.address} if self.address else {}
        return {"user-agent": PHONE, **known, **proxy, **more}

    async def get(self, path: str, *, expect: int | None = None, etag: str = "") -> Answer:
        """A read."""
        headers = self._headers(**({"if-none-match": etag} if etag else {}))
        return await self.ask("GET", path, headers=lambda: headers, expect=expect)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int | None = None,
        key: str = "",
        any_status: bool = False,
    ) -> Answer:
        """A write, with an Idempotency-Key of its own unless one is given."""
        headers = self._headers(**{"idempotency-key": key or str(uuid.uuid4())})
        return await self.ask(method, path, body, headers=lambda: headers, expect=expect, any_status=any_status)

    async def hand_in(self, kind: str, controls: TestControls, method: str, path: str) -> Answer:
        """Hand in a code of this kind. A code serves once, so a repetition needs a new one."""

        async def once() -> Answer:
            return await self.send(method, path, {"code": await controls.code(self.name, kind)}, any_status=True)

        answer = await _patiently(once)
        if answer.status >= 400:
            raise _refused(method, path, answer)
        return answer

    async def sign_in(self, controls: TestControls) -> Answer:
        """Exchange a `wx.login` code for tokens."""
        answer = await self.hand_in("login", controls, "POST", "/v1/public/sessions")
        self.tokens = answer.body
        return answer
