"""What a tester, a payer or the merchant's console does to the platform, as plain methods.

    sandbox.pay.pay(number)              the payer pays; the notice is sent by itself
    sandbox.pay.notify(number, times=3)  send its notice again, rightly or wrongly
    sandbox.pay.finish_refund(number, "ABNORMAL")

The same is reachable over HTTP under `/sandbox/pay` (`test_control.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from backend import clock
from backend.partners import sandbox_keys
from backend.partners.push_kit import PushMode
from backend.partners.wechat_pay.sandbox import orders, refunds
from backend.partners.wechat_pay.sandbox.bills import BillOffice
from backend.partners.wechat_pay.sandbox.errors import Refusal, impossible, wrong
from backend.partners.wechat_pay.sandbox.keyring import PUBLIC_KEY, public_key_id
from backend.partners.wechat_pay.sandbox.notices import Notice, NoticeFault, NoticeSender
from backend.partners.wechat_pay.sandbox.signing import WINDOW, SignatureFault, check_pay_sign
from backend.partners.wechat_pay.sandbox.world import (
    PREPAY_LIVES,
    CallFault,
    Order,
    PayWorld,
    Refund,
    RefundState,
    beijing,
)

KeyMove = Literal["announce", "switch", "rotate", "retire", "public_key", "percent"]


class PayPlatform:
    """A world, its notices and its bills."""

    def __init__(self, world: PayWorld) -> None:
        self.world = world
        self.notices = NoticeSender(world)
        self.bills = BillOffice()
        self.answers: list[SignatureFault] = []
        """What is wrong with the signatures of the next answers."""

    def settings(self, base: str) -> dict[str, str]:
        """What to put in force so that our own side talks to this platform."""
        world = self.world
        return {
            "wechat_pay_api_base": base,
            "wechat_pay_backup_base": base,
            "wechat_pay_mchid": world.mchid,
            "wechat_pay_appid": world.appid,
            "wechat_pay_serial": world.merchant_serial,
            "wechat_pay_key": sandbox_keys.private_pem(world.merchant.key),
            "wechat_pay_key_file": "",
            "wechat_pay_api_v3_key": world.api_v3_key,
            "wechat_pay_v2_key": world.v2_key,
            "wechat_pay_public_key_id": public_key_id(),
            "wechat_pay_public_key": sandbox_keys.public_pem(sandbox_keys.rsa_key(PUBLIC_KEY)),
            "wechat_pay_public_key_file": "",
        }

    # -- the payer -------------------------------------------------------------------------------

    def confirm(self, given: Mapping[str, str], openid: str = "") -> Order:
        """The payer enters the password in the dialogue that exactly these parameters opened.

        Raises Refusal when wx.requestPayment would not have opened it, or the order cannot be paid.
        """
        names = {"timeStamp", "nonceStr", "package", "signType", "paySign"}
        if given.keys() != names or any(not isinstance(each, str) for each in given.values()):
            raise wrong("", "requestPayment:fail 参数必须恰为timeStamp、nonceStr、package、signType、paySign")
        prepay_id = given["package"].removeprefix("prepay_id=")
        if given["signType"] != "RSA" or not 1 <= len(given["nonceStr"]) <= 32 or prepay_id == given["package"]:
            raise wrong("/package", "requestPayment:fail 参数有误")
        if not check_pay_sign(self.world, dict(given), appid=self.world.appid):
            raise Refusal(401, "SIGN_ERROR", "requestPayment:fail 支付验证签名失败")
        stamp = given["timeStamp"]
        if not stamp.isdecimal() or abs(int(stamp) - clock.timestamp()) > PREPAY_LIVES.total_seconds() + WINDOW:
            raise wrong("/timeStamp", "requestPayment:fail timeStamp有误")
        order = self.world.order_of(prepay_id)
        if self.world.now() - order.prepay_at >= PREPAY_LIVES:
            raise impossible("requestPayment:fail prepay_id已过期")
        if openid and openid != order.openid:
            raise impossible("requestPayment:fail 该订单不能由当前用户支付")
        return self.pay(order.number)

    def pay(
        self, name: str, *, force: bool = False, total_fen: int | None = None, fault: NoticeFault | None = None
    ) -> Order:
        """The payer pays the order of this number or prepay id, and its notice is sent.

        `force`: although it is closed; `total_fen`: really with another amount. Raises Refusal.
        """
        order = self.world.order_of(name)
        orders.pay(self.world, order, force=force, total_fen=total_fen)
        self._notify(order.number, fault, self.world.rules.notices)
        return order

    def cancel(self, name: str) -> Order:
        """The payer closes the dialogue: nothing changes."""
        return self.world.order_of(name)

    def fail(self, name: str, why: str = "支付失败，请重新下单支付") -> Order:
        """An attempt to pay fails: the order stays open."""
        order = self.world.order_of(name)
        order.last_try = why
        return order

    # -- notices ---------------------------------------------------------------------------------

    def notify(self, name: str, *, times: int = 1, fault: NoticeFault | None = None, **wrong: Any) -> list[Notice]:
        """Send `times` notices of a payment or a refund, each with an id of its own, even where the rules hold or
        swallow notices.

        `wrong` are fields of `NoticeFault`: `late=`, `copies=`, `signature=`, `changes=`, … The notice of an unpaid
        order states that it was paid: a client has to detect it.
        """
        return [self._notify(name, self._fault(fault, wrong), "send") for _ in range(times)]

    def written(self, name: str, **wrong: Any) -> tuple[dict[str, str], bytes]:
        """Headers (in lower case) and body of a notice that the caller delivers."""
        fault = self._fault(None, wrong)
        notice = self._notify(name, fault, "swallow")
        return {key.lower(): value for key, value in self.notices.headers(notice, fault.signature)}, notice.body

    def _fault(self, fault: NoticeFault | None, wrong: Mapping[str, Any]) -> NoticeFault:
        return replace(fault or self.notices.fault, **wrong)

    def forge(self, name: str, **changes: Any) -> Notice:
        """Send a rightly signed notice with other content: `forge(number, **{"amount.total": 1})`."""
        return self.notify(name, changes=changes)[0]

    def _notify(self, name: str, fault: NoticeFault | None, mode: PushMode) -> Notice:
        refund = next((each for each in self.world.refunds.values() if name in (each.number, each.refund_id)), None)
        if refund is not None:
            event = f"REFUND.{refund.state}"
            content = refunds.notice_content(self.world, refund)
            return self.notices.notify(event, "refund", refund.number, refund.notify_url, content, fault, mode)
        order = self.world.order_of(name)
        content = orders.shown(self.world, order)
        if order.paid_at is None:
            paid = {"transaction_id": self.world.new_transaction_id(), "trade_type": "JSAPI", "bank_type": "OTHERS"}
            content |= {**paid, "success_time": beijing(self.world.now())}
        content |= {"trade_state": "SUCCESS", "trade_state_desc": "支付成功"}
        event, url = "TRANSACTION.SUCCESS", order.notify_url
        return self.notices.notify(event, "transaction", order.number, url, content, fault, mode)

    def next_answer(self) -> SignatureFault:
        """What is wrong with the signature of the answer that is being written."""
        return self.answers.pop(0) if self.answers else "none"

    # -- refunds ---------------------------------------------------------------------------------

    def refund(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Take the merchant's request for a refund and start a new one. Raises Refusal."""
        refund, new = refunds.ask(self.world, content)
        shown = refunds.shown(refund)
        if new:
            self.begin(refund)
        return shown

    def begin(self, refund: Refund) -> None:
        """Run a refund on the platform's schedule."""
        if self.world.rules.refund_seconds is not None:
            self.world.in_background(self._run(refund, self.world.rules.refund_seconds))

    async def _run(self, refund: Refund, seconds: float) -> None:
        await self.world.wait(seconds)
        if refund.state == "PROCESSING" and self.world.rules.refund_outcome != "PROCESSING":
            self.finish_refund(refund.number, self.world.rules.refund_outcome)

    def finish_refund(self, name: str, state: RefundState = "SUCCESS", fault: NoticeFault | None = None) -> Refund:
        """End a refund and send its notice. Raises Refusal when it has ended already."""
        refund = self.world.refund_of(name)
        if refund.state not in ("PROCESSING", "ABNORMAL") or state == "PROCESSING":
            raise impossible("退款单已完结")
        refunds.finish(self.world, refund, state)
        self._notify(refund.number, fault, self.world.rules.notices)
        return refund

    def refund_in_console(self, name: str, amount_fen: int | None = None, *, xml: bool = True) -> Refund:
        """Refund in the merchant's console: at once, with a number that is not ours. Raises Refusal."""
        order = self.world.order_of(name)
        amount = order.total_fen - order.given_back if amount_fen is None else amount_fen
        if order.paid_at is None or not 0 < amount <= order.total_fen - order.given_back:
            raise impossible("申请退款金额大于订单剩余可退金额")
        refund_id = self.world.new_refund_id()
        url = self.world.rules.console_notify_url or order.notify_url
        refund = Refund(order, refund_id, refund_id, amount, "商户平台退款", url, self.world.now(), by_console=True)
        refunds.add(self.world, refund)
        refunds.finish(self.world, refund, "SUCCESS")
        if xml:
            self.notices.notify_in_xml(refund.number, url, _in_xml(refund), self.world.rules.notices)
        else:
            self._notify(refund.number, None, self.world.rules.notices)
        return refund

    # -- the platform itself ---------------------------------------------------------------------

    def refuse(self, operation: str, status: int, code: str, *, times: int = 1, after: bool = False) -> None:
        """Refuse the next calls of an operation (`*`: any); with `after` although the work is done."""
        self.world.faults.append(CallFault(operation=operation, status=status, code=code, times=times, after=after))

    def move_keys(self, move: KeyMove, percent: int = 0) -> str:
        """Rotate certificates or go over to the public key; the serial that signs notices now."""
        keys = self.world.keys
        match move:
            case "percent":
                keys.percent = percent
            case "public_key":
                keys.move_to_public_key()
            case _:
                getattr(keys, move)()
        return keys.signs.serial

    def ledger(self) -> list[dict[str, Any]]:
        """What really happened, for a comparison."""
        return self.world.ledger()

    async def settle(self) -> None:
        """Wait until every notice is answered or given up and every refund has ended."""
        await self.world.settle()


def _in_xml(refund: Refund) -> dict[str, str]:
    order, amount = refund.order, str(refund.amount_fen)
    return {
        "out_refund_no": refund.number,
        "out_trade_no": order.number,
        "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
        "refund_fee": amount,
        "refund_id": refund.refund_id,
        "refund_recv_accout": refund.account,
        "refund_request_source": "VENDOR_PLATFORM",
        "refund_status": refund.state,
        "settlement_refund_fee": amount,
        "settlement_total_fee": str(order.total_fen),
        "success_time": refund.made_at.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
        "total_fee": str(order.total_fen),
        "transaction_id": order.transaction_id,
    }
