"""Who takes part in a journey, each over real HTTP: a resident's phone and a department's system."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from backend import clock, jobs, seeding
from backend.identity.signatures import sign_request
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.sandbox import messages

ANDROID = {"user-agent": "Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0.55 MiniProgramEnv"}


class Phone:
    """Somebody's phone with the mini-program on it; WeChat is the sandbox."""

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
