"""The gateway's address, and the test control of Alipay over HTTP, under `/sandbox/alipay`."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct, field

from backend.amounts import yuan
from backend.partners import sandbox_rules
from backend.partners.alipay.sandbox.notices import NoticeFault
from backend.partners.alipay.sandbox.platform import BUYER, AlipayPlatform
from backend.partners.alipay.sandbox.world import Failure, Rules, Trade


class ConfirmIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The order string that the app was given; with `pay` false the payer only looks at it."""

    order_string: str = field(name="orderStr")
    buyer: str = BUYER
    pay: bool = True


class PayIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the payer pays; `force` although the trade is closed."""

    force: bool = False
    notice: NoticeFault | None = None


class NotifyIn(NoticeFault, frozen=True, kw_only=True):
    """A notice to send, `times` times."""

    times: Annotated[int, Meta(ge=1, le=100)] = 1


class ConsoleRefundIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A refund in the merchant's console."""

    amount_fen: int


class FailureIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Calls to answer with a failure."""

    method: str = "*"
    sub_code: str = "ACQ.SYSTEM_ERROR"
    code: str = "40004"
    times: int = 1


@post("/gateway.do", status_code=200, include_in_schema=False)
async def alipay_gateway(request: Request[Any, Any, Any], alipay: NamedDependency[AlipayPlatform]) -> Response[bytes]:
    """Answer as Alipay's gateway does."""
    answer = alipay.ask(await request.body())
    return Response(answer, media_type="application/json;charset=" + request.query_params.get("charset", "utf-8"))


def _failed(_: Request[Any, Any, Any], failure: Failure) -> Response[dict[str, str]]:
    return Response(failure.body(), status_code=400)


class AlipayTestControl(Controller):
    """Every route answers with what it changed."""

    path = "/sandbox/alipay"
    include_in_schema = False
    exception_handlers = {Failure: _failed}

    @post("/confirm")
    async def confirm(self, alipay: NamedDependency[AlipayPlatform], data: JSONBody[ConfirmIn]) -> dict[str, Any]:
        trade = (alipay.confirm if data.pay else alipay.open)(data.order_string, data.buyer)
        return {"resultStatus": "9000" if data.pay else "6001", **shown(alipay, trade)}

    @post("/trades/{number:str}/pay")
    async def pay(
        self, alipay: NamedDependency[AlipayPlatform], number: FromPath[str], data: JSONBody[PayIn]
    ) -> dict[str, Any]:
        return shown(alipay, alipay.pay(number, force=data.force, fault=data.notice))

    @post("/trades/{number:str}/notify")
    async def notify(
        self, alipay: NamedDependency[AlipayPlatform], number: FromPath[str], data: JSONBody[NotifyIn]
    ) -> list[dict[str, Any]]:
        return [each.summary() for each in alipay.notify(number, times=data.times, fault=data)]

    @post("/trades/{number:str}/finish")
    async def finish(self, alipay: NamedDependency[AlipayPlatform], number: FromPath[str]) -> dict[str, Any]:
        return shown(alipay, alipay.finish(number))

    @post("/trades/{number:str}/finish-refunds")
    async def finish_refunds(self, alipay: NamedDependency[AlipayPlatform], number: FromPath[str]) -> dict[str, Any]:
        return shown(alipay, alipay.finish_refunds(number))

    @post("/trades/{number:str}/console-refund")
    async def console_refund(
        self, alipay: NamedDependency[AlipayPlatform], number: FromPath[str], data: JSONBody[ConsoleRefundIn]
    ) -> dict[str, Any]:
        return shown(alipay, alipay.refund_in_console(number, data.amount_fen))

    @get("/ledger")
    async def ledger(self, alipay: NamedDependency[AlipayPlatform]) -> list[dict[str, Any]]:
        return alipay.ledger()

    @get("/trades")
    async def trades(self, alipay: NamedDependency[AlipayPlatform]) -> list[dict[str, Any]]:
        return [shown(alipay, each) for each in alipay.world.trades.values()]

    @get("/notices")
    async def notices(self, alipay: NamedDependency[AlipayPlatform]) -> list[dict[str, Any]]:
        return [each.summary() for each in alipay.notices.sent]

    @post("/notices/{number:str}/send")
    async def send(self, alipay: NamedDependency[AlipayPlatform], number: FromPath[str]) -> dict[str, str]:
        found = next((each for each in alipay.notices.sent if each.id == number), None)
        if found is None:
            raise Failure("NOT_EXIST", "no such notice")
        return {"answer": await alipay.notices.replay(found)}

    @post("/notices/release")
    async def release(self, alipay: NamedDependency[AlipayPlatform]) -> list[dict[str, Any]]:
        return [each.summary() for each in alipay.notices.release()]

    @put("/rules")
    async def rules(self, alipay: NamedDependency[AlipayPlatform], data: JSONBody[dict[str, Any]]) -> Rules:
        return sandbox_rules.change(alipay.world.rules, data)

    @post("/failures")
    async def failures(self, alipay: NamedDependency[AlipayPlatform], data: JSONBody[FailureIn]) -> dict[str, int]:
        alipay.fail(data.method, data.sub_code, code=data.code, times=data.times)
        return {"failures": len(alipay.world.failures)}

    @post("/time")
    async def time(self, alipay: NamedDependency[AlipayPlatform], data: JSONBody[dict[str, float]]) -> dict[str, str]:
        alipay.world.advance(data.get("seconds", 0.0))
        return {"now": alipay.world.now().isoformat()}

    @post("/settle")
    async def settle(self, alipay: NamedDependency[AlipayPlatform]) -> dict[str, int]:
        await alipay.settle()
        return {"notices": len(alipay.notices.sent), "arrived": sum(each.arrived for each in alipay.notices.sent)}


def shown(alipay: AlipayPlatform, trade: Trade) -> dict[str, Any]:
    """A trade with what a test needs beside it."""
    status, amounts = alipay.world.status(trade), {"total_amount": yuan(trade.total_fen)}
    names = {"out_trade_no": trade.number, "trade_no": trade.trade_no, "trade_status": status}
    return {**names, **amounts, "refunded": yuan(trade.refunded_fen), "notify_url": trade.notify_url}
