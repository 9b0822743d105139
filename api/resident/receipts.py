"""Residents fetch the receipt of a payment: as PDF to keep, as data to show."""

from __future__ import annotations

import asyncio

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from api import limits, openapi
from api.problems import answers
from backend import payments
from backend.identity import AsResident
from backend.payments import ReceiptDetail

PDF = "application/pdf"
_DOCUMENT = {200: ResponseSpec(bytes, media_type=PDF, description="PDF", generate_examples=False)}


class ReceiptController(Controller):
    """`/v1/resident/payments/{number}/receipt`."""

    path = "/payments/{number:str}"
    tags = ["缴费收据"]

    @get(
        "/receipt",
        summary="缴费收据（PDF）",
        description="支付成功后几秒内开具；款项全额退回后作废，仍可下载，页面标明已作废。",
        operation_id="getReceiptAsPdf",
        media_type=PDF,
        responses=answers(payments.get_own_receipt) | _DOCUMENT,
    )
    async def as_pdf(self, resident: NamedDependency[AsResident], number: FromPath[str]) -> Response[bytes]:
        await limits.within("receipt-pdf", str(resident.id), 30, 60, fail_closed=False)
        found = await payments.get_own_receipt(resident, number)
        named = {"Content-Disposition": f'inline; filename="{found.number}.pdf"', "Cache-Control": "private, no-store"}
        # Drawing takes some 200 ms of CPU: in a thread, other requests go on meanwhile.
        content = await asyncio.to_thread(payments.render_receipt, found)
        return Response(content, media_type=PDF, headers=named)

    @get(
        "/receipt-data",
        summary="缴费收据（数据）",
        description="与 PDF 内容相同；`fiscal` 是财政电子票据的开具情况，未接入财政平台时为 none。",
        operation_id="getReceipt",
        responses=answers(payments.get_own_receipt),
    )
    async def as_data(self, resident: NamedDependency[AsResident], number: FromPath[str]) -> ReceiptDetail:
        return await payments.get_own_receipt(resident, number)


_NUMBER = {"parameters": {"number": "$response.body#/number"}}
openapi.LINKS.setdefault("getPayment", {}).update(
    {
        "receipt": {"operationId": "getReceiptAsPdf", **_NUMBER},
        "receipt_data": {"operationId": "getReceipt", **_NUMBER},
    }
)
openapi.LINKS["getReceipt"] = {"verification": {"operationId": "verifyReceipt", **_NUMBER}}
