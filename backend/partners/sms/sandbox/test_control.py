"""The gateway's own address, and its test control."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from backend.partners.sms.sandbox import aliyun, tencent
from backend.partners.sms.sandbox.pushing import ReceiptFault
from backend.partners.sms.sandbox.world import SmsWorld


class SmsRulesIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The gateway's behaviour; what is left out stays. `refusals` are codes for the next texts, one each."""

    templates: list[str] | None = None
    blocked: list[str] | None = None
    refusals: list[str] | None = None
    advance_seconds: float = 0.0


class ReceiptsIn(ReceiptFault, frozen=True, kw_only=True):
    """How receipts are pushed from now on: `url`, `gap` and `hold` that are left out stay, a fault lifts the former."""

    url: str | None = None
    gap: float | None = None
    hold: bool | None = None


class ReleaseIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """`newest_first`: in the unexpected order."""

    newest_first: bool = False


class SmsTestControl(Controller):
    """The test control of the gateway."""

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
        return [each.summary() for each in sms_world.receipts]

    @put("/receipts")
    async def configure(self, sms_world: NamedDependency[SmsWorld], data: JSONBody[ReceiptsIn]) -> dict[str, Any]:
        sender = sms_world.push
        for name in ("url", "gap", "hold"):
            if (value := getattr(data, name)) is not None:
                setattr(sender, name, value)
        sender.fault = data
        return {"url": sender.url, "gap": sender.gap, "hold": sender.hold, "fault": sender.fault}

    @post("/receipts/release", status_code=200)
    async def release(self, sms_world: NamedDependency[SmsWorld], data: JSONBody[ReleaseIn]) -> dict[str, Any]:
        held = [each for each in sms_world.receipts if not each.attempts]
        if held:
            sms_world.push.push(held[::-1] if data.newest_first else held)
            await sms_world.settle()
        return {"sent": len(held)}

    @post("/texts/{serial:str}/receipt", status_code=200)
    async def report(
        self, sms_world: NamedDependency[SmsWorld], serial: FromPath[str], data: JSONBody[ReceiptsIn]
    ) -> dict[str, Any]:
        text = next(each for each in sms_world.texts if each.serial == serial)
        receipt = sms_world.report(text, data)
        await sms_world.settle()
        return receipt.summary()


@post("/", status_code=200, include_in_schema=False)
async def sms_gateways(request: Request[Any, Any, Any], sms_world: NamedDependency[SmsWorld]) -> Response[bytes]:
    """Answer as the gateways do; the request's headers show which one is meant."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    status = 200
    answer: dict[str, Any]
    if "x-acs-action" in headers:
        query = request.scope["query_string"].decode()
        status, answer = aliyun.answer(sms_world, query, headers, await request.body())
    else:
        answer = {"Response": tencent.answer(sms_world, headers, await request.body())}
    return Response(msgspec.json.encode(answer), status_code=status, media_type="application/json")
