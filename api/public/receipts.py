"""The holder of a receipt verifies it: the address that its QR leads to."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, PathParameter, QueryParameter

from api.limits import limit
from backend import payments
from backend.payments import ReceiptVerification

Number = Annotated[str, PathParameter(max_length=32, description="收据编号")]
Code = Annotated[str, QueryParameter(max_length=32, description="收据上的校验码")]


class ReceiptController(Controller):
    """`/v1/public/receipts/{number}`."""

    path = "/receipts"
    tags = ["缴费收据"]

    @get(
        "/{number:str}",
        summary="核验缴费收据",
        description=(
            "凭编号和校验码（收据二维码中已包含）核验。校验码不对和没有该收据的回答相同：`state` 为 unknown。"
            "`voided` 表示款项已全额退回，收据作废。不含缴款人信息。"
        ),
        operation_id="verifyReceipt",
        guards=[limit("receipt", 30, 60, fail_closed=True)],
    )
    async def verify(self, number: FromPath[Number], code: FromQuery[Code]) -> ReceiptVerification:
        return await payments.verify_receipt(number, code)
