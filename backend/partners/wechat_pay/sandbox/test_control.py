"""The test control of WeChat Pay over HTTP, under `/sandbox/pay`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from backend.partners import sandbox_rules
from backend.partners.wechat_pay.sandbox import orders, refunds
from backend.partners.wechat_pay.sandbox.bills import BillFault
from backend.partners.wechat_pay.sandbox.errors import Refusal
from backend.partners.wechat_pay.sandbox.notices import NoticeFault
from backend.partners.wechat_pay.sandbox.platform import KeyMove, PayPlatform
from backend.partners.wechat_pay.sandbox.signing import SignatureFault
from backend.partners.wechat_pay.sandbox.world import CallFault, Order, RefundState, Rules, beijing


class PayIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the payer pays; `force` although it is closed, `total_fen` really with another amount."""

    force: bool = False
    total_fen: int | None = None
    notice: NoticeFault | None = None


class NotifyIn(NoticeFault, frozen=True, kw_only=True):
    """A notice to send, `times` times."""

    times: Annotated[int, Meta(ge=1, le=100)] = 1


class ConsoleRefundIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A refund in the merchant's console; without an amount all that is left."""

    amount_fen: int | None = None
    xml: bool = True


class FinishIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How a refund ends."""

    state: RefundState = "SUCCESS"


class SendIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How an old notice is delivered once more."""

    headers: Literal["old", "fresh"] = "old"


class AnswersIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is wrong with the signatures of the next answers."""

    signature: SignatureFault
    times: int = 1


class KeysIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A move of the platform's keys."""

    move: KeyMove
    percent: Annotated[int, Meta(ge=0, le=100)] = 0


def _refused(_: Request[Any, Any, Any], refusal: Refusal) -> Response[dict[str, Any]]:
    return Response(refusal.body(), status_code=refusal.status)


class PayTestControl(Controller):
    """Every route answers with what it changed."""

    path = "/sandbox/pay"
    include_in_schema = False
    exception_handlers = {Refusal: _refused}

    @post("/confirm")
    async def confirm(
        self, pay: NamedDependency[PayPlatform], data: JSONBody[dict[str, str]], openid: FromQuery[str] = ""
    ) -> dict[str, Any]:
        return {"errMsg": "requestPayment:ok", **shown(pay, pay.confirm(data, openid))}

    @post("/orders/{name:str}/pay")
    async def pay_it(
        self, pay: NamedDependency[PayPlatform], name: FromPath[str], data: JSONBody[PayIn]
    ) -> dict[str, Any]:
        order = pay.pay(name, force=data.force, total_fen=data.total_fen, fault=data.notice)
        return shown(pay, order)

    @post("/orders/{name:str}/cancel")
    async def cancel(self, pay: NamedDependency[PayPlatform], name: FromPath[str]) -> dict[str, Any]:
        return {"errMsg": "requestPayment:fail cancel", **shown(pay, pay.cancel(name))}

    @post("/orders/{name:str}/fail")
    async def fail(self, pay: NamedDependency[PayPlatform], name: FromPath[str]) -> dict[str, Any]:
        return {"errMsg": "requestPayment:fail", **shown(pay, pay.fail(name))}

    @post("/orders/{name:str}/notify")
    async def notify(
        self, pay: NamedDependency[PayPlatform], name: FromPath[str], data: JSONBody[NotifyIn]
    ) -> list[dict[str, Any]]:
        return [each.summary() for each in pay.notify(name, times=data.times, fault=data)]

    @post("/orders/{name:str}/console-refund")
    async def console_refund(
        self, pay: NamedDependency[PayPlatform], name: FromPath[str], data: JSONBody[ConsoleRefundIn]
    ) -> dict[str, Any]:
        return refunds.shown(pay.refund_in_console(name, data.amount_fen, xml=data.xml))

    @post("/refunds/{name:str}/finish")
    async def finish(
        self, pay: NamedDependency[PayPlatform], name: FromPath[str], data: JSONBody[FinishIn]
    ) -> dict[str, Any]:
        return refunds.shown(pay.finish_refund(name, data.state))

    @get("/ledger")
    async def ledger(self, pay: NamedDependency[PayPlatform]) -> list[dict[str, Any]]:
        return pay.ledger()

    @get("/orders")
    async def orders(self, pay: NamedDependency[PayPlatform]) -> list[dict[str, Any]]:
        return [shown(pay, each) for each in pay.world.orders.values()]

    @get("/refunds")
    async def refunds(self, pay: NamedDependency[PayPlatform]) -> list[dict[str, Any]]:
        return [refunds.shown(each) for each in pay.world.refunds.values()]

    @get("/notices")
    async def notices(self, pay: NamedDependency[PayPlatform]) -> list[dict[str, Any]]:
        return [each.summary() for each in pay.notices.sent]

    @post("/notices/release")
    async def release(
        self, pay: NamedDependency[PayPlatform], data: JSONBody[dict[str, list[str]]]
    ) -> list[dict[str, Any]]:
        return [each.summary() for each in pay.notices.release(*data.get("order", []))]

    @post("/notices/{number:str}/send")
    async def send(
        self, pay: NamedDependency[PayPlatform], number: FromPath[str], data: JSONBody[SendIn]
    ) -> dict[str, str]:
        found = next((each for each in pay.notices.sent if each.id == number), None)
        if found is None:
            raise Refusal(404, "RESOURCE_NOT_EXISTS", "no such notice")
        return {"answer": await pay.notices.replay(found, fresh=data.headers == "fresh")}

    @get("/calls")
    async def calls(self, pay: NamedDependency[PayPlatform]) -> list[dict[str, Any]]:
        return [{"operation": name, "status": status} for name, status in pay.world.calls]

    @put("/rules")
    async def rules(self, pay: NamedDependency[PayPlatform], data: JSONBody[dict[str, Any]]) -> Rules:
        return sandbox_rules.change(pay.world.rules, data)

    @put("/bill")
    async def bill(self, pay: NamedDependency[PayPlatform], data: JSONBody[dict[str, Any]]) -> BillFault:
        return sandbox_rules.change(pay.bills.fault, data)

    @put("/notices")
    async def notice_fault(self, pay: NamedDependency[PayPlatform], data: JSONBody[NoticeFault]) -> NoticeFault:
        pay.notices.fault = data
        return data

    @post("/answers")
    async def answers(self, pay: NamedDependency[PayPlatform], data: JSONBody[AnswersIn]) -> dict[str, int]:
        pay.answers += [data.signature] * data.times
        return {"answers": len(pay.answers)}

    @post("/faults")
    async def refuse(self, pay: NamedDependency[PayPlatform], data: JSONBody[CallFault]) -> dict[str, int]:
        pay.world.faults.append(data)
        return {"faults": len(pay.world.faults)}

    @post("/keys")
    async def keys(self, pay: NamedDependency[PayPlatform], data: JSONBody[KeysIn]) -> dict[str, Any]:
        serial = pay.move_keys(data.move, data.percent)
        listed = [each.serial for each in pay.world.keys.listed]
        return {"signs": serial, "listed": listed, "percent": pay.world.keys.percent}

    @post("/time")
    async def time(self, pay: NamedDependency[PayPlatform], data: JSONBody[dict[str, float]]) -> dict[str, str]:
        pay.world.advance(data.get("seconds", 0.0))
        return {"now": beijing(pay.world.now())}

    @post("/settle")
    async def settle(self, pay: NamedDependency[PayPlatform]) -> dict[str, int]:
        await pay.settle()
        return {"notices": len(pay.notices.sent), "arrived": sum(each.arrived for each in pay.notices.sent)}


def shown(pay: PayPlatform, order: Order) -> dict[str, Any]:
    """An order with what a test needs beside it."""
    about = {"prepay_id": order.prepay_id, "notify_url": order.notify_url, "expires_at": beijing(order.expires_at)}
    return {**orders.shown(pay.world, order), **about}
