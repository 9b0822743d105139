"""Who takes part in a journey, each over real HTTP: a resident's phone and a department's system."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec

from backend import clock, jobs, seeding
from backend.identity.one_time_codes import code_at
from backend.identity.signatures import sign_request
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.sandbox import messages

ANDROID = {"user-agent": "Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0.55 MiniProgramEnv"}


class Phone:
    """A resident's phone with the mini-program on it; WeChat is the sandbox."""

    def __init__(self, base: str, sandbox: Sandbox, name: str) -> None:
        self.http = httpx.AsyncClient(base_url=base, headers=ANDROID)
        self.sandbox, self.person = sandbox, sandbox.world.persona(name)
        self.tokens = dict[str, Any]()

    async def sign_in(self) -> None:
        code = self.sandbox.world.mint("login", self.person)
        answer = await self.http.post("/v1/public/sessions", json={"code": code})
        assert answer.status_code == 201, answer.text
        self.tokens = answer.json()
        self.http.headers["authorization"] = f"Bearer {self.tokens['access_token']}"

    async def confirm_phone(self) -> None:
        code = self.sandbox.world.mint("phone", self.person)
        answer = await self.http.put("/v1/resident/phone", json={"code": code})
        assert answer.status_code == 200, answer.text
        await jobs.drain()

    async def answer_popup(self, answer: str) -> None:
        asked = await self.get("/v1/resident/subscriptions?page=case")
        results = dict.fromkeys(asked["template_ids"], answer)
        messages.popup(self.sandbox.world, self.sandbox.pusher, self.person, results)  # type: ignore[arg-type]
        told = await self.http.post(
            "/v1/resident/subscriptions",
            json={"page": "case", "results": results},
            headers={"idempotency-key": str(uuid4())},
        )
        assert told.status_code == 201, told.text
        await self.sandbox.world.settle()
        await jobs.drain()

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def begins_to_pay(self, channel: str = "wechat_pay") -> Any:
        """The order for the only fee that is open, as the front end gets it."""
        (fee,) = (await self.get("/v1/resident/fees?state=open"))["items"]
        body = {"fee_id": fee["id"], "channel": channel}
        answer = await self.http.post("/v1/resident/payments", json=body, headers={"idempotency-key": str(uuid4())})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def where_is(self, number: str) -> Any:
        """我的钱在哪里."""
        return await self.get(f"/v1/resident/payments/{number}")

    def received(self) -> list[str]:
        """What stands under 状态 in the WeChat messages on this phone, in the order in which they came."""
        mine = [each for each in self.sandbox.world.delivered if each.persona == self.person.name]
        return [each.data["phrase3"] for each in mine]


class Department:
    """A department's system, which signs what it sends; every report is one minute after the one before."""

    def __init__(self, base: str, domain: str) -> None:
        self.http = httpx.AsyncClient(base_url=base)
        self.key = seeding.AGENCIES[domain]
        self.moment = clock.now() - timedelta(hours=6)

    async def send(self, method: str, path: str, body: Any) -> httpx.Response:
        content = msgspec.json.encode(body)
        signed = sign_request(method, path, content, key=self.key, secret=seeding.agency_secret(self.key))
        headers = {**signed, "content-type": "application/json"}
        return await self.http.request(method, path, content=content, headers=headers)

    async def push(self, number: str, item_code: str, person: Any, id_number: str) -> Any:
        body = {
            "item_code": item_code,
            "title": "居民身份证到期换领",
            "received_at": self.moment.isoformat(),
            "applicant": {"name": person.name, "id_number": id_number, "phone": person.phone},
        }
        answer = await self.send("PUT", f"/v1/agency/cases/{number}", body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def report(
        self, number: str, code: str, *, event_id: str | None = None, at: datetime | None = None, **more: Any
    ) -> Any:
        """One event; the worker has done everything that follows from it when this returns."""
        self.moment += timedelta(minutes=1)
        body = {
            "event_id": event_id or str(uuid4()),
            "code": code,
            "occurred_at": (at or self.moment).isoformat(),
            **more,
        }
        answer = await self.send("POST", f"/v1/agency/cases/{number}/events", body)
        assert answer.status_code == 201, answer.text
        await jobs.drain()
        return answer.json()


class Office:
    """A member of staff at a desk, signed in with password and one-time code as the seeds gave them."""

    def __init__(self, base: str, login: str) -> None:
        self.http, self.login = httpx.AsyncClient(base_url=base), login

    async def sign_in(self) -> None:
        code = code_at(seeding.totp_secret(self.login))
        body = {"login": self.login, "password": seeding.PASSWORD, "code": code}
        answer = await self.http.post("/v1/staff/sessions", json=body)
        assert answer.status_code == 201, answer.text
        self.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

    async def post(self, path: str, body: Any = None) -> Any:
        answer = await self.http.post(path, json=body, headers={"idempotency-key": str(uuid4())})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


async def events_of_money(base: str, sandbox: Sandbox) -> None:
    """Have both payment platforms push to the service at this address, fast."""
    http = httpx.AsyncClient(base_url=base)

    async def post(url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        answer = await http.post(urlsplit(url).path, content=body, headers=headers)
        return answer.status_code, answer.content

    sandbox.pay.notices.post = sandbox.alipay.notices.post = post
    sandbox.pay.world.rules.speed = 6000.0
