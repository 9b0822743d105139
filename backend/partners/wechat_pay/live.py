"""WeChat Pay over HTTP: the body of the port that production uses, and the sandbox too, at another address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from backend.partners.base import Wire
from backend.partners.paying.port import (
    Bill,
    ChannelOrder,
    ChannelRefund,
    Notice,
    OrderRequest,
    PayerCard,
    PrepaidOrder,
    RefundRequest,
)
from backend.partners.wechat_pay import bills, notices, orders, refunds, v2_notice
from backend.partners.wechat_pay.api import WeChatPayApi
from backend.partners.wechat_pay.merchant import merchant_from, sub_merchants
from backend.partners.wechat_pay.signing import pay_parameters
from backend.settings import Settings


class LiveWeChatPay:
    """The port `PayChannel`; what each call means and raises is written there.

    Raises SettingsError when the merchant's numbers and keys are not what the platform gives out, so that a process
    which could not take money does not start.
    """

    name = "wechat_pay"

    def __init__(self, wire: Wire, values: Settings) -> None:
        self.merchant = merchant_from(values)
        self.app_id = self.merchant.appid
        self.merchant_id = self.merchant.mchid
        self.sub_merchants = sub_merchants(values)
        self.api = WeChatPayApi(self.merchant, wire, values)
        self._bill_limit = values.wechat_pay_bill_limit

    async def place(self, order: OrderRequest) -> PrepaidOrder:
        return await orders.place(self.api, order)

    def front_end_parameters(self, prepay_id: str) -> Mapping[str, str]:
        return pay_parameters(self.merchant, prepay_id)

    async def query(self, number: str, *, sub_merchant_id: str | None = None) -> ChannelOrder:
        return await orders.query(self.api, number, sub_merchant_id)

    async def query_by_transaction(self, transaction_id: str, *, sub_merchant_id: str | None = None) -> ChannelOrder:
        return await orders.query_by_transaction(self.api, transaction_id, sub_merchant_id)

    async def close(self, number: str, *, sub_merchant_id: str | None = None) -> None:
        await orders.close(self.api, number, sub_merchant_id)

    async def refund(self, request: RefundRequest) -> ChannelRefund:
        return await refunds.refund(self.api, request)

    async def query_refund(
        self, number: str, *, payment_number: str, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        return await refunds.query_refund(self.api, number, sub_merchant_id)

    async def refund_to_card(
        self, number: str, refund_id: str, card: PayerCard, *, sub_merchant_id: str | None = None
    ) -> ChannelRefund:
        return await refunds.refund_to_card(self.api, number, refund_id, card, sub_merchant_id)

    async def bill(self, day: date, *, sub_merchant_id: str | None = None) -> Bill:
        return await bills.bill(self.api, day, sub_merchant_id, limit=self._bill_limit)

    async def open_notice(self, headers: Mapping[str, str], body: bytes) -> Notice:
        return await notices.open_notice(self.merchant, self.api.keys, headers, body)

    def open_v2_notice(self, body: bytes) -> Notice:
        """The XML notice of a refund made in the console; see `v2_notice`."""
        return v2_notice.open_v2_notice(body, v2_key=self.merchant.v2_key, merchant_id=self.merchant_id)
