"""The state of a gateway, and the rules by which it accepts a text or refuses it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from backend import clock
from backend.partners import simulated
from backend.partners.own_time import OwnTime
from backend.partners.sms.sandbox.pushing import Receipt, ReceiptFault, ReceiptSender
from backend.partners.sms.tables import Gateway
from backend.settings import Settings

DEFAULTS = simulated.SMS
"""The names and keys of our account where the settings name none."""


class Refusal(StrEnum):
    """Why a text is not taken; each gateway has a code of its own for it."""

    NUMBER = "number"
    SIGNATURE = "signature"
    TEMPLATE = "template"
    BLOCKED = "blocked"
    SOON = "soon"
    HOUR = "hour"
    DAY = "day"


LIMITS: Mapping[Gateway, tuple[tuple[timedelta, int, Refusal], ...]] = {
    "tencent": ((timedelta(seconds=30), 1, Refusal.SOON),),
    "aliyun": ((timedelta(minutes=1), 1, Refusal.SOON), (timedelta(hours=1), 5, Refusal.HOUR)),
}
"""How many texts one number gets in which time. [recalled]"""
A_DAY = 10


@dataclass
class Text:
    """A text that was accepted."""

    at: datetime
    phone: str
    template: str
    parameters: list[str]
    reference: str
    serial: str
    gateway: Gateway = "tencent"


@dataclass
class SmsWorld(OwnTime):
    """The gateway's state. `templates` empty means that every template is approved; `refusals` are the codes
    with which the next texts are refused, to any number."""

    secret_id: str
    secret_key: str
    app_id: str
    sign_name: str
    templates: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    push: ReceiptSender = field(init=False)
    receipts: list[Receipt] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the sender of receipts."""
        self.push = ReceiptSender(self)

    @classmethod
    def of(cls, values: Settings) -> SmsWorld:
        """With the names and keys of the settings, or the sandbox's own."""
        known = [getattr(values, name) or fallback for name, fallback in DEFAULTS.items()]
        secret_id, secret_key, app_id, sign_name, _ = known
        return cls(secret_id, secret_key, app_id, sign_name)

    def accept(
        self, gateway: Gateway, *, phone: str, template: str, parameters: list[str], reference: str, sign_name: str
    ) -> tuple[Text | None, str]:
        """Accept a text, or give the reason: a Refusal, or a code that a test set."""
        if self.refusals:
            return None, self.refusals.pop(0)
        if refusal := self._refusal(gateway, phone, template, sign_name):
            return None, refusal
        text = Text(self.now(), phone, template, parameters, reference, secrets.token_hex(8), gateway)
        self.texts.append(text)
        self.report(text)
        return text, ""

    def report(self, text: Text, fault: ReceiptFault | None = None) -> Receipt:
        """Write the receipt of a text and push it, in the background; without an address it is held."""
        receipt = Receipt(
            gateway=text.gateway,
            serial=text.serial,
            reference=text.reference,
            phone=text.phone,
            at=self.now(),
            fault=fault or self.push.fault,
        )
        self.receipts.append(receipt)
        if self.push.url and not self.push.hold:
            self.push.push([receipt])
        return receipt

    def _refusal(self, gateway: Gateway, phone: str, template: str, sign_name: str) -> Refusal | None:
        if not re.fullmatch(r"\+861[3-9]\d{9}", phone):
            return Refusal.NUMBER
        if sign_name != self.sign_name:
            return Refusal.SIGNATURE
        if not template or (self.templates and template not in self.templates):
            return Refusal.TEMPLATE
        if phone in self.blocked:
            return Refusal.BLOCKED
        sent = [text.at for text in self.texts if text.phone == phone]
        for span, most, refusal in LIMITS[gateway]:
            if sum(self.now() - at < span for at in sent) >= most:
                return refusal
        return Refusal.DAY if sum(clock.day_of(at) == clock.day_of(self.now()) for at in sent) >= A_DAY else None
