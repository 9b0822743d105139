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


openapi.LINKS |= {
    "pay": {"payment": {"operationId": "getPayment", "parameters": {"number": "$response.body#/number"}}},
    "listPayments": {
        "payment": {"operationId": "getPayment", "parameters": {"number": "$response.body#/items/0/number"}}
    },
}
