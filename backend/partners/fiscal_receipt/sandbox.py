"""The finance department's platform, simulated: it verifies signatures, issues each number once, and can be slow or
refuse. Its test control is under `/sandbox/fiscal`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from backend.partners import simulated
from backend.partners.fiscal_receipt import envelope
from backend.settings import Settings

DEFAULTS = simulated.FISCAL
Mode = Literal["ok", "slow", "refuse"]


@dataclass
class FiscalWorld:
    """The platform's receipts, by business number."""

    secret: str
    digest: str
    mode: Mode = "ok"
    issued: dict[str, dict[str, Any]] = field(default_factory=dict)
    voided: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, values: Settings) -> FiscalWorld:
        """A fresh one, with the secret of the settings or the sandbox's own."""
        return cls(values.fiscal_receipt_secret or DEFAULTS["fiscal_receipt_secret"], values.fiscal_receipt_digest)

    def settings(self, values: Settings, base: str) -> dict[str, str]:
        """What to put in force so that our own side talks to this platform."""
        return {
            "fiscal_receipt_base": f"{base}/fiscal",
            **{name: value for name, value in DEFAULTS.items() if not getattr(values, name)},
        }

    def issue(self, content: dict[str, Any]) -> dict[str, str]:
        """Issue, once per number and never with another amount under it."""
        number = content["busNo"]
        if self.mode == "refuse":
            return envelope.answer("E0201", "收费项目未维护")
        if self.mode == "slow":
            return envelope.answer("E0301", "正在开票")
        known = self.issued.get(number)
        if known is not None and known["totalAmt"] != content["totalAmt"]:
            return envelope.answer("E0202", "业务流水号重复且金额不一致")
        if known is None:
            count = len(self.issued) + 1
            known = {"totalAmt": content["totalAmt"], "billBatchCode": "99060126", "billNo": f"{count:010d}"}
            known["pictureUrl"] = f"https://fiscal.example/bills/{known['billBatchCode']}/{known['billNo']}"
            self.issued[number] = known
        return envelope.answer(envelope.DONE, known)

    def void(self, content: dict[str, Any]) -> dict[str, str]:
        """Write off with a red receipt, once per number."""
        number = content["busNo"]
        if number not in self.issued:
            return envelope.answer("E0203", "未找到电子票据")
        red = {"eScarletBillBatchCode": "99060126", "eScarletBillNo": f"9{len(self.voided):09d}"}
        return envelope.answer(envelope.DONE, self.voided.setdefault(number, red))


class FaultMode(Struct, forbid_unknown_fields=True):
    """How the platform behaves from now on."""

    mode: Mode


def _answer(fiscal: FiscalWorld, name: str, body: dict[str, Any]) -> dict[str, str]:
    fiscal.calls.append(name)
    content = envelope.opened(body, fiscal.secret, fiscal.digest)
    if content is None:
        return envelope.answer("E0101", "签名错误")
    return fiscal.issue(content) if name == "issue" else fiscal.void(content)


@post("/fiscal/invoiceEBill", status_code=200)
async def issuing(fiscal: NamedDependency[FiscalWorld], data: JSONBody[dict[str, Any]]) -> dict[str, str]:
    """Answer a request for a receipt."""
    return _answer(fiscal, "issue", data)


@post("/fiscal/writeOffEBill", status_code=200)
async def voiding(fiscal: NamedDependency[FiscalWorld], data: JSONBody[dict[str, Any]]) -> dict[str, str]:
    """Answer a request for a red receipt."""
    return _answer(fiscal, "void", data)


class FiscalTestControl(Controller):
    """`/sandbox/fiscal`."""

    path = "/sandbox/fiscal"

    @get()
    async def receipts(self, fiscal: NamedDependency[FiscalWorld]) -> dict[str, Any]:
        return {"mode": fiscal.mode, "issued": fiscal.issued, "voided": fiscal.voided}

    @post(status_code=200)
    async def set_mode(self, fiscal: NamedDependency[FiscalWorld], data: JSONBody[FaultMode]) -> FaultMode:
        fiscal.mode = data.mode
        return data
