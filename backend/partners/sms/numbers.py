"""How a phone number is written for a gateway."""

from __future__ import annotations

import re

from backend.partners.sms.port import SmsPhoneRefused

_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_MAINLAND = re.compile(r"1[3-9]\d{9}", re.ASCII)


def e164(phone: str) -> str:
    """The number with its country. Raises SmsPhoneRefused when it cannot be one."""
    bare = phone.replace(" ", "").replace("-", "")
    if _MAINLAND.fullmatch(bare):
        return f"+86{bare}"
    if _E164.fullmatch(bare):
        return bare
    raise SmsPhoneRefused("sms", "not-sent")


def domestic(phone: str) -> str:
    """Eleven digits for the mainland, country code and number without a plus for the rest. Raises SmsPhoneRefused."""
    return e164(phone).removeprefix("+86").removeprefix("+")
