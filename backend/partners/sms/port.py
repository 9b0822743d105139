"""What the service needs of an SMS gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from backend.partners.errors import PartnerBusy, PartnerMisconfigured, PartnerRefused, Remedy


class SmsMessage(Struct, frozen=True, kw_only=True):
    """One text to one phone. `phone` is E.164 (`+8613800000000`) or eleven digits of the mainland;
    `template` is the gateway's id of an approved text and `parameters` fill it: by their order at one gateway, by
    their names at another. `reference` comes back in receipts, where the gateway sends it back."""

    phone: str
    template: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""


class SmsAccepted(Struct, frozen=True):
    """The gateway took the text; `serial` is its id, under which the receipt will come."""

    serial: str


class SmsRefused(PartnerRefused):
    """The gateway will not send this text: signature, template or content."""

    title = "短信平台未接受该短信"


class SmsPhoneRefused(SmsRefused):
    """The number is no mobile number, is blocked, or has opted out."""

    title = "该手机号无法接收短信"


class SmsTooOften(PartnerBusy):
    """Too many texts to this number; `retry_after` is the seconds until the next one is accepted."""

    title = "短信发送过于频繁，请稍后再试"


class SmsQuotaSpent(PartnerBusy):
    """The account has sent as much as it may in a day."""

    title = "短信当日发送额度已用完"
    remedy = Remedy.TOMORROW


class SmsMisconfigured(PartnerMisconfigured):
    """Keys, application, signature or template are not as the gateway knows them, or the account is empty."""


class Sms(Protocol):
    """The calls to the gateway."""

    async def send(self, message: SmsMessage) -> SmsAccepted:
        """Send one text; never repeated by itself once it may have arrived.

        Raises SmsPhoneRefused, SmsRefused, SmsTooOften, SmsQuotaSpent, SmsMisconfigured, PartnerBusy,
        PartnerUnreachable.
        """
        ...
