"""The platform for fiscal receipts (财政电子票据)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FiscalReceiptSettings:
    """The settings of fiscal receipts."""

    # -- fiscal receipts --------------------------------------------------------------------------
    fiscal_receipt_base: str = ""
    """Address of the platform for 财政电子票据; empty: none are requested. [recalled: its protocol]"""
    fiscal_receipt_issue_path: str = "/invoiceEBill"
    """Behind the base: issue one. [recalled]"""
    fiscal_receipt_void_path: str = "/writeOffEBill"
    """Behind the base: write one off (冲红). [recalled]"""
    fiscal_receipt_app_id: str = ""
    """appid that the platform gave us."""
    fiscal_receipt_secret: str = ""
    """Key that requests are signed with."""
    fiscal_receipt_digest: Literal["md5", "sha256"] = "md5"
    """Digest of the signature, as the platform has it. [recalled]"""
    fiscal_receipt_region: str = ""
    """行政区划 of the finance department."""
    fiscal_receipt_unit: str = ""
    """Code of the issuing unit (单位识别码)."""
    fiscal_receipt_place: str = ""
    """开票点 of the unit."""
    fiscal_receipt_kind: str = ""
    """票据种类代码."""
    fiscal_receipt_pause: float = 600.0
    """How long after no answer the request is repeated."""


SANDBOX_VALUES: dict[str, str] = {
    "fiscal_receipt_app_id": "SANDBOX-FISCAL",
    "fiscal_receipt_secret": "sandbox-fiscal-secret",
    "fiscal_receipt_region": "990100",
    "fiscal_receipt_unit": "990100001",
    "fiscal_receipt_place": "001",
    "fiscal_receipt_kind": "0501",
}
"""What the simulator expects where the settings are empty. Public, so production refuses those that are secret."""
HARMLESS = frozenset(SANDBOX_VALUES.keys() - {"fiscal_receipt_secret"})
"""Those that prove nothing: an installation may have the same."""
