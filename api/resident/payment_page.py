"""我的钱在哪里: a resident follows one payment."""

from __future__ import annotations

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.problems import answers
from backend import payments
from backend.identity import AsResident
from backend.payments import PaymentDetail


class PaymentPageController(Controller):
    """`/v1/resident/payments/{number}`."""

    path = "/payments"
    tags = ["缴费"]

    @get(
        "/{number:str}",
        summary="我的钱在哪里：一笔支付的每一步",
        description=(
            "`steps` 按先后说明每一步，`where` 是钱现在在哪里，`next` 是接下来会怎样；金额同时给出分和文字。"
            "他人的支付与不存在的支付回答相同。"
        ),
        operation_id="getPayment",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(payments.get_own_payment) | NOT_MODIFIED,
    )
    async def get_own_payment(self, resident: NamedDependency[AsResident], number: FromPath[str]) -> PaymentDetail:
        return await payments.get_own_payment(resident, number)


_NUMBER = "P20261122B7D9F2H4J6K8L1M3"
_REFUND = {
    "number": f"R{_NUMBER}A",
    "amount_fen": 2000,
    "amount": "20.00元",
    "state": "processing",
    "state_name": "支付平台处理中",
    "cause": "double",
    "reason": "重复支付，原路退回",
    "account": "招商银行信用卡0403",
    "promised_at": "2026-11-22T10:05:02+08:00",
    "succeeded_at": None,
}
_STEPS = [
    ("ordered", "已下单", "您发起了「居民身份证工本费」的支付，金额20.00元。", "2026-11-22T10:04:00+08:00", None),
    ("paid", "已付款", "微信支付已收到您的付款20.00元。", "2026-11-22T10:05:00+08:00", None),
    (
        "not-counted",
        "未计入费用",
        "该费用已经支付过，这是重复付款。这笔钱没有计入费用，将全部退还给您。",
        "2026-11-22T10:05:00+08:00",
        None,
    ),
    (
        "refund-promised",
        "已同意退款",
        "该费用已经支付过，这是重复付款，退还20.00元（重复支付，原路退回）。",
        "2026-11-22T10:05:02+08:00",
        f"R{_NUMBER}A",
    ),
    (
        "refund-at-channel",
        "微信支付处理中",
        "微信支付已受理，正在退回20.00元。",
        "2026-11-22T10:05:03+08:00",
        f"R{_NUMBER}A",
    ),
]
openapi.EXAMPLES["getPayment"] = {
    "response": {
        "number": _NUMBER,
        "fee_id": "0194a1b2-1111-7fff-8000-0bbb0ccc0ddd",
        "fee_name": "居民身份证工本费",
        "basis": "发改价格〔2003〕2322号",
        "subject_kind": "case",
        "subject_id": "0194a1b2-2222-7fff-8000-0bbb0ccc0ddd",
        "channel": "wechat_pay",
        "channel_name": "微信支付",
        "state": "surplus",
        "state_name": "未计入，正在退回",
        "amount_fen": 2000,
        "amount": "20.00元",
        "paid_fen": 2000,
        "paid": "20.00元",
        "refunding_fen": 2000,
        "refunding": "20.00元",
        "refunded_fen": 0,
        "refunded": "0.00元",
        "ordered_at": "2026-11-22T10:04:00+08:00",
        "expires_at": "2026-11-22T10:34:00+08:00",
        "paid_at": "2026-11-22T10:05:00+08:00",
        "where": "20.00元正在由微信支付退回。",
        "next": "零钱通常几分钟到账，银行卡需1至3个工作日。",
        "steps": [
            {"step": step, "name": name, "text": text, "at": at, "done": True, "refund_number": number}
            for step, name, text, at, number in _STEPS
        ],
        "refunds": [_REFUND],
        "receipt_number": None,
        "contact": {"name": "示例市公安局", "phone": "12345"},
    }
}
openapi.LINKS |= {
    "pay": {"payment": {"operationId": "getPayment", "parameters": {"number": "$response.body#/number"}}},
    "listPayments": {
        "payment": {"operationId": "getPayment", "parameters": {"number": "$response.body#/items/0/number"}}
    },
}
