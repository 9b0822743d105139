"""The finance department's platform over HTTP. [recalled, see envelope.py; deviations of an installation are
settings]"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from backend.amounts import yuan
from backend.clock import SHANGHAI
from backend.partners.base import PartnerClient, Repeat, Reply, Request, Wire, decoded
from backend.partners.errors import PartnerBusy, PartnerMisconfigured, PartnerRefused, PartnerUnreachable
from backend.partners.fiscal_receipt import envelope
from backend.partners.fiscal_receipt.port import FiscalOrder, FiscalReceipt, FiscalState
from backend.settings import Settings

NAME = "fiscal-receipt"
WAITS = frozenset({"E0301", "E0302"})
"""Result codes of a receipt that is still being issued. [recalled]"""
NOT_US = frozenset({"E0101", "E0102", "E0103"})
"""Result codes that mean a wrong signature, name or right. [recalled]"""


class LiveFiscalReceipts:
    """The port `FiscalReceipts` at the platform that the settings name."""

    def __init__(self, wire: Wire, values: Settings) -> None:
        self._client = PartnerClient(NAME, values.fiscal_receipt_base, wire, values)
        self._values = values

    async def issue(self, order: FiscalOrder) -> FiscalReceipt:
        paid_at = order.paid_at.astimezone(SHANGHAI)
        content = {
            "busNo": order.number,
            "busDateTime": f"{paid_at:%Y%m%d%H%M%S}{paid_at.microsecond // 1000:03d}",
            "placeCode": self._values.fiscal_receipt_place,
            "billCode": self._values.fiscal_receipt_kind,
            "payer": order.payer,
            "payerType": "1",
            "totalAmt": yuan(order.amount_fen),
            "chargeDetail": [
                {
                    "chargeCode": order.item_code,
                    "chargeName": order.item_name,
                    "std": yuan(order.unit_fen),
                    "number": order.quantity,
                    "amt": yuan(order.amount_fen),
                }
            ],
        }
        return await self._send("issue", self._values.fiscal_receipt_issue_path, content, _issued)

    async def void(self, number: str, reason: str) -> FiscalReceipt:
        content = {"busNo": number, "reason": reason, "placeCode": self._values.fiscal_receipt_place}
        return await self._send("void", self._values.fiscal_receipt_void_path, content, _voided)

    async def _send(
        self, call: str, path: str, content: dict[str, Any], read: Callable[[dict[str, Any]], FiscalReceipt]
    ) -> FiscalReceipt:
        values = self._values
        names = {
            "region": values.fiscal_receipt_region,
            "deptcode": values.fiscal_receipt_unit,
            "appid": values.fiscal_receipt_app_id,
        }
        body = envelope.wrapped(
            content,
            names=names,
            noise=secrets.token_hex(16),
            secret=values.fiscal_receipt_secret,
            digest=values.fiscal_receipt_digest,
        )

        def read_reply(reply: Reply) -> FiscalReceipt:
            try:
                result, content = envelope.read(decoded(NAME, reply))
            except ValueError:
                raise PartnerUnreachable(NAME, "not-understood", maybe_done=True) from None
            if isinstance(content, dict):
                return read(content)
            if result in WAITS:
                raise PartnerBusy(NAME, result, content)
            raise (PartnerMisconfigured if result in NOT_US else PartnerRefused)(NAME, result, content)

        headers = {"Content-Type": "application/json"}
        # Our number is the platform's key: a repeated call gives the same receipt.
        request = Request(method="POST", path=path, body=body, headers=headers, repeat=Repeat.ALWAYS)
        return await self._client.send(call, request, read_reply)


def _issued(content: dict[str, Any]) -> FiscalReceipt:
    code, number = str(content.get("billBatchCode", "")), str(content.get("billNo", ""))
    if not number:
        return FiscalReceipt(state=FiscalState.WAITING)
    return FiscalReceipt(state=FiscalState.ISSUED, code=code, number=number, url=str(content.get("pictureUrl", "")))


def _voided(content: dict[str, Any]) -> FiscalReceipt:
    return FiscalReceipt(
        state=FiscalState.VOIDED,
        code=str(content.get("eScarletBillBatchCode", "")),
        number=str(content.get("eScarletBillNo", "")),
    )
