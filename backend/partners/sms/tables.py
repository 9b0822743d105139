"""What the gateways' codes and receipts mean: a TOML file for each, which an installation may put its own before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from backend.partners import tables
from backend.partners.errors import PartnerBusy, PartnerError
from backend.partners.sms.port import SmsMisconfigured, SmsPhoneRefused, SmsQuotaSpent, SmsRefused, SmsTooOften
from backend.settings import SettingsError

Gateway = Literal["tencent", "aliyun"]
GATEWAYS: tuple[Gateway, ...] = get_args(Gateway)
"""The gateways whose receipts we understand, whichever of them sends our texts now: those of the last one still come
after a change."""
Meaning = Literal["phone", "refused", "quota", "misconfigured", "busy", "often"]
_KINDS: Mapping[Meaning, type[PartnerError]] = {
    "phone": SmsPhoneRefused,
    "refused": SmsRefused,
    "quota": SmsQuotaSpent,
    "misconfigured": SmsMisconfigured,
    "busy": PartnerBusy,
}
_USUAL_PAUSE = 60.0
_LONGEST_MESSAGE = 200


class Receipt(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Names of the fields of a pushed receipt; a gateway that does not send one has none."""

    serial: str
    outcome: str
    arrived: str
    """The `outcome` of a text that reached the phone."""
    failed: str
    code: str
    at: str
    phone: str
    country: str = ""
    reference: str = ""


class Answers(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the gateway reads when we took its receipts, and when it has to come again."""

    taken: str
    not_taken: str


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The codes and fields of one gateway."""

    codes: Mapping[str, Meaning]
    """Beginning of a code → what it means; the longest beginning that fits counts."""
    pauses: Mapping[str, float]
    """Part of what is said with `often` → seconds until the next text is taken."""
    receipt: Receipt
    answers: Answers

    def error(self, code: str, message: str) -> PartnerError:
        """The error of a refusal; one without a code proves nothing."""
        message = message[:_LONGEST_MESSAGE]
        if not code:
            return PartnerBusy("sms", "no-response", message)
        start = max((each for each in self.codes if code.startswith(each)), key=len, default="")
        meaning = self.codes.get(start, "refused")
        if meaning == "often":
            pauses = (seconds for part, seconds in self.pauses.items() if part in code or part in message)
            return SmsTooOften("sms", code, message, retry_after=next(pauses, _USUAL_PAUSE))
        return _KINDS[meaning]("sms", code, message)


@lru_cache(maxsize=16)
def load(gateway: Gateway, folder: str = "") -> Table:
    """The table of a gateway. Raises SettingsError when a file in the folder has an unknown entry."""
    entries = tables.entries("backend.partners.sms", gateway, folder=folder, setting="SMS_TABLES")
    try:
        return msgspec.convert(entries, Table)
    except msgspec.ValidationError as error:
        raise SettingsError(f"SMS_TABLES: {gateway}.toml: {error}") from error
