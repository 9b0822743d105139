"""The port of the issuer of 财政电子票据: the finance department's platform, or its contractor's."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class FiscalOrder(Struct, frozen=True, kw_only=True):
    """One paid fee for which a receipt of the finance department is wanted. The same number gives the same receipt."""

    number: str
    """Our receipt's number, the platform's business number."""
    payer: str
    """As printed on the receipt; the name of an online payer is not always known."""
    item_code: str
    item_name: str
    unit_fen: int
    quantity: int
    amount_fen: int
    paid_at: datetime


class FiscalState(StrEnum):
    """The state of a receipt."""

    WAITING = "waiting"
    ISSUED = "issued"
    VOIDED = "voided"


class FiscalReceipt(Struct, frozen=True, kw_only=True):
    """A receipt as the platform has it. Code (票据代码) and number (票据号码) exist once it is issued."""

    state: FiscalState
    code: str = ""
    number: str = ""
    url: str = ""
    """Where the payer sees it; empty when the platform gives none."""


class FiscalReceipts(Protocol):
    """The issuer. Every call raises PartnerRefused, PartnerMisconfigured, PartnerBusy or PartnerUnreachable."""

    async def issue(self, order: FiscalOrder) -> FiscalReceipt:
        """Have a receipt issued; repeating gives the same one."""
        ...

    async def void(self, number: str, reason: str) -> FiscalReceipt:
        """Write the receipt of our number off (冲红), because the money went back; repeating is fine."""
        ...
