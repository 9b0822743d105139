"""The gateway's own address, and what a tester sees and changes."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Literal

import msgspec
from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from backend.partners.sms.sandbox import aliyun, tencent
from backend.partners.sms.sandbox.pushing import Mishap, Receipt
from backend.partners.sms.sandbox.world import SmsWorld


class SmsRulesIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The gateway's behaviour; what is left out stays. `refusals` are codes for the next texts, one each."""

    templates: list[str] | None = None
    blocked: list[str] | None = None
    refusals: list[str] | None = None
    advance_seconds: float = 0.0


class ReceiptsIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How receipts are pushed from now on; what is left out stays, and what is said of them is as it should be."""

    url: str | UnsetType = UNSET
    gap: float | UnsetType = UNSET
    hold: bool | UnsetType = UNSET
    outcome: Literal["arrived", "failed"] = "arrived"
    code: str = ""
    copies: int = 1
    late: float = 0.0
    serial: str = ""
    without_reference: bool = False

    def mishap(self) -> Mishap:
        """What is wrong with them."""
        return Mishap(self.outcome, self.code, self.copies, self.late, self.serial, self.without_reference)


class ReleaseIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """`newest_first`: in the order that nobody would expect."""

    newest_first: bool = False


class SmsLevers(Controller):
    """What a tester sees and changes."""

    path = "/sandbox/sms"
    include_in_schema = False

    @get("/sent")
    async def sent(self, sms_world: NamedDependency[SmsWorld]) -> list[dict[str, Any]]:
        return [asdict(each) for each in sms_world.texts]

    @put("/rules")
    async def rules(self, sms_world: NamedDependency[SmsWorld], data: JSONBody[SmsRulesIn]) -> dict[str, Any]:
        sms_world.shift += timedelta(seconds=data.advance_seconds)
        if data.templates is not None:
            sms_world.templates = set(data.templates)
        if data.blocked is not None:
            sms_world.blocked = set(data.blocked)
        if data.refusals is not None:
            sms_world.refusals = list(data.refusals)
        return {"now": sms_world.now().isoformat()}

    @get("/receipts")
    async def receipts(self, sms_world: NamedDependency[SmsWorld]) -> list[dict[str, Any]]:
        return [_shown(each) for each in sms_world.receipts]

    @put("/receipts")
    async def how(self, sms_world: NamedDependency[SmsWorld], data: JSONBody[ReceiptsIn]) -> dict[str, Any]:
        push = sms_world.push
        push.url = push.url if data.url is UNSET else data.url
        push.gap = push.gap if data.gap is UNSET else data.gap
        push.hold = push.hold if data.hold is UNSET else data.hold
        push.mishap = data.mishap()
        return asdict(push)

    @post("/receipts/release", status_code=200)
    async def release(self, sms_world: NamedDependency[SmsWorld], data: JSONBody[ReleaseIn]) -> dict[str, Any]:
        held = [each for each in sms_world.receipts if not each.attempts]
        if held:
            await sms_world.push.send(held[::-1] if data.newest_first else held)
        return {"sent": len(held)}

    @post("/texts/{serial:str}/receipt", status_code=200)
    async def again(
        self, sms_world: NamedDependency[SmsWorld], serial: FromPath[str], data: JSONBody[ReceiptsIn]
    ) -> dict[str, Any]:
        text = next(each for each in sms_world.texts if each.serial == serial)
        receipt = sms_world.report(text, data.mishap())
        await asyncio.gather(*sms_world.background)
        return _shown(receipt)


def _shown(receipt: Receipt) -> dict[str, Any]:
    return {**asdict(receipt), "arrived": receipt.arrived}


@post("/", status_code=200, include_in_schema=False)
async def sms_gateways(request: Request[Any, Any, Any], sms_world: NamedDependency[SmsWorld]) -> Response[bytes]:
    """Answer as the gateways do; which one is meant, the request's headers say."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    status = 200
    answer: dict[str, Any]
    if "x-acs-action" in headers:
        query = request.scope["query_string"].decode()
        status, answer = aliyun.answer(sms_world, query, headers, await request.body())
    else:
        answer = {"Response": tencent.answer(sms_world, headers, await request.body())}
    return Response(msgspec.json.encode(answer), status_code=status, media_type="application/json")
