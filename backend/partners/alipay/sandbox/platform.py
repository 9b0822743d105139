"""What a test or a payer does to Alipay, as plain methods; over HTTP the same is under `/sandbox/alipay`."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from backend.partners import sandbox_keys
from backend.partners.alipay.sandbox import gateway
from backend.partners.alipay.sandbox.notices import Notice, NoticeFault, NoticeSender
from backend.partners.alipay.sandbox.world import AlipayWorld, Failure, Trade, TradeRefund

BUYER = "2088000000000002"


class AlipayPlatform:
    """A world and its notices."""

    def __init__(self, world: AlipayWorld) -> None:
        self.world = world
        self.notices = NoticeSender(world)

    def settings(self, base: str) -> dict[str, str]:
        """What to put in force so that our own side talks to this platform."""
        return {
            "alipay_api_base": f"{base}/gateway.do",
            "alipay_app_id": self.world.app_id,
            "alipay_seller_id": self.world.seller_id,
            "alipay_key": sandbox_keys.private_pem(self.world.app_key),
            "alipay_key_file": "",
            "alipay_public_key": sandbox_keys.public_pem(self.world.own_key),
            "alipay_public_key_file": "",
        }

    def ask(self, body: bytes) -> bytes:
        """One call of the gateway, answered."""
        try:
            fields = gateway.read_form(body.decode("ascii"))
        except (Failure, UnicodeDecodeError):
            fields = {}
        return gateway.answered(self.world, fields, self._went_back)

    # -- the payer -------------------------------------------------------------------------------

    def open(self, order_string: str, buyer: str = BUYER) -> Trade:
        """The app opens the dialogue with an order string; from now on Alipay knows the trade. Raises Failure."""
        fields = gateway.read_form(order_string)
        gateway.check_signed(self.world, fields)
        if fields.get("method") not in ("alipay.trade.app.pay", "alipay.trade.wap.pay", "alipay.trade.page.pay"):
            raise Failure("isv.invalid-method", "不存在的方法名", code="40002")
        return gateway.open_trade(self.world, gateway.content_of(fields), fields.get("notify_url", ""), buyer)

    def confirm(self, order_string: str, buyer: str = BUYER) -> Trade:
        """The payer opens it and pays. Raises Failure."""
        return self.pay(self.open(order_string, buyer).number)

    def pay(self, number: str, *, force: bool = False, fault: NoticeFault | None = None) -> Trade:
        """The payer of an open trade pays, and its notice is sent; `force` although it is closed. Raises Failure."""
        trade = self.world.trade_of({"out_trade_no": number})
        if trade.paid_at is not None:
            raise Failure("ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
        if self.world.status(trade) == "TRADE_CLOSED" and not force:
            raise Failure("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
        trade.paid_at = self.world.now()
        self.notices.notify(trade, None, fault, self.world.rules.notices)
        return trade

    def finish(self, number: str) -> Trade:
        """End the time for refunds: TRADE_FINISHED, and a notice. Raises Failure."""
        trade = self.world.trade_of({"out_trade_no": number})
        if self.world.status(trade) != "TRADE_SUCCESS":
            raise Failure("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        trade.finished = True
        self.notices.notify(trade, None, None, self.world.rules.notices)
        return trade

    def finish_refunds(self, number: str) -> Trade:
        """Carry out the held refunds of a trade and send their notices. Raises Failure."""
        trade = self.world.trade_of({"out_trade_no": number})
        for each in trade.refunds:
            if each.at is None:
                each.at = self.world.now()
                self.notices.notify(trade, each, None, self.world.rules.notices)
        return trade

    def refund_in_console(self, number: str, fen: int) -> Trade:
        """Refund in the merchant's console, with a number that is not ours. Raises Failure."""
        trade = self.world.trade_of({"out_trade_no": number})
        if trade.paid_at is None or not 0 < fen <= trade.total_fen - trade.refunded_fen:
            raise Failure("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
        refund = TradeRefund(self.world.next_id(), fen, "商户后台退款", self.world.now())
        trade.refunds.append(refund)
        self.notices.notify(trade, refund, None, self.world.rules.notices)
        return trade

    # -- notices ---------------------------------------------------------------------------------

    def notify(self, number: str, *, times: int = 1, fault: NoticeFault | None = None, **wrong: Any) -> list[Notice]:
        """Send `times` notices of a trade, each with an id of its own, even where the rules hold or swallow notices.

        `wrong` are fields of `NoticeFault`. The notice of an unpaid trade states that it was paid: a client has to
        detect it.
        """
        trade, fault = self.world.trade_of({"out_trade_no": number}), replace(fault or self.notices.fault, **wrong)
        return [self.notices.notify(trade, None, fault, "send") for _ in range(times)]

    def forge(self, number: str, **changes: str | None) -> Notice:
        """Send a rightly signed notice with other content."""
        return self.notify(number, changes=changes)[0]

    def written(self, number: str, *, refund: str = "", **wrong: Any) -> bytes:
        """The body of a notice that is not sent, about a trade or one refund of it."""
        trade = self.world.trade_of({"out_trade_no": number})
        found = next((each for each in trade.refunds if each.number == refund), None)
        return self.notices.body(self.notices.notify(trade, found, replace(self.notices.fault, **wrong), "swallow"))

    def _went_back(self, trade: Trade) -> None:
        self.notices.notify(trade, trade.refunds[-1], None, self.world.rules.notices)

    # -- the platform itself ---------------------------------------------------------------------

    def fail(self, method: str, sub_code: str, *, code: str = "40004", times: int = 1) -> None:
        """Answer the next calls of a method (`*`: any) with a failure."""
        self.world.failures += [(method, Failure(sub_code, "由沙箱注入", code=code))] * times

    def ledger(self) -> list[dict[str, Any]]:
        """What really happened, for a comparison."""
        return self.world.ledger()

    async def settle(self) -> None:
        """Wait until every notice is answered or given up."""
        await self.world.settle()
