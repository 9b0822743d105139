"""Alibaba Cloud SMS, SendSms of 2017-05-25, as its public API reference describes it."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

import msgspec

from backend import clock
from backend.partners.base import PartnerClient, Reply, Request, Wire, decoded
from backend.partners.errors import PartnerBusy, PartnerTrouble
from backend.partners.sms.acs3 import authorization, canonical_query, digest
from backend.partners.sms.numbers import domestic
from backend.partners.sms.port import (
    PhoneRefused,
    SmsAccepted,
    SmsMessage,
    SmsMisconfigured,
    SmsQuotaSpent,
    SmsRefused,
    SmsTooOften,
)
from backend.settings import Settings

_PAUSES = {"分钟": 60.0, "小时": 3600.0, "天": 86_400.0}
"""Words in the message of a flow control (触发小时级流控Permits:5), and for how long it lasts."""
_TROUBLES: tuple[tuple[str, type[PartnerTrouble]], ...] = (
    ("isv.MOBILE_NUMBER_ILLEGAL", PhoneRefused),
    ("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", PhoneRefused),
    ("isv.PHONENUMBER_BLACKLIST", PhoneRefused),
    ("isv.DAY_LIMIT_CONTROL", SmsQuotaSpent),
    ("isv.MONTH_LIMIT_CONTROL", SmsQuotaSpent),
    ("isv.AMOUNT_NOT_ENOUGH", SmsMisconfigured),
    ("isv.OUT_OF_SERVICE", SmsMisconfigured),
    ("isv.ACCOUNT_", SmsMisconfigured),
    ("isv.PRODUCT_UN", SmsMisconfigured),
    ("isv.SMS_SIGN", SmsMisconfigured),
    ("isv.SMS_TEMPLATE_ILLEGAL", SmsMisconfigured),
    ("isp.RAM_PERMISSION_DENY", SmsMisconfigured),
    ("Forbidden", SmsMisconfigured),
    ("InvalidAccessKeyId", SmsMisconfigured),
    ("InvalidSecurityToken", SmsMisconfigured),
    ("InvalidTimeStamp", SmsMisconfigured),
    ("InvalidVersion", SmsMisconfigured),
    ("NoPermission", SmsMisconfigured),
    ("SignatureDoesNotMatch", SmsMisconfigured),
    ("IncompleteSignature", SmsMisconfigured),
    ("SignatureNonceUsed", PartnerBusy),
    ("Throttling", PartnerBusy),
    ("ServiceUnavailable", PartnerBusy),
    ("InternalError", PartnerBusy),
    ("isp.", PartnerBusy),
)
"""What a code means, by its beginning; the first that fits counts."""


class AliyunSms:
    """The port `Sms` over Alibaba Cloud's HTTP interface, or the sandbox at another address."""

    def __init__(self, wire: Wire, values: Settings) -> None:
        self._client = PartnerClient("sms", values.sms_api_base, wire, values)
        self._host = urlsplit(values.sms_api_base).netloc
        self._values = values

    async def send(self, message: SmsMessage) -> SmsAccepted:
        """See the port."""
        parameters = {
            "PhoneNumbers": domestic(message.phone),
            "SignName": self._values.sms_sign_name,
            "TemplateCode": message.template,
        }
        if message.parameters:
            parameters["TemplateParam"] = msgspec.json.encode(dict(message.parameters)).decode()
        if message.reference:
            parameters["OutId"] = message.reference
        target = f"/?{canonical_query(parameters)}"
        return await self._client.ask("send_sms", Request(method="POST", path=target, sign=self._signed), _read)

    def _signed(self, target: str) -> dict[str, str]:
        """The headers of one attempt: a nonce is good once, so every attempt has its own."""
        path, _, query = target.partition("?")
        headers = {
            "host": self._host,
            "x-acs-action": "SendSms",
            "x-acs-content-sha256": digest(b""),
            "x-acs-date": f"{clock.now():%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-version": "2017-05-25",
        }
        signature = authorization(
            key_id=self._values.sms_secret_id,
            secret=self._values.sms_secret_key,
            method="POST",
            path=path,
            query=query,
            headers=headers,
        )
        return {**headers, "accept": "application/json", "authorization": signature}


def _read(reply: Reply) -> SmsAccepted:
    answer = decoded("sms", reply)
    if answer.get("Code") != "OK":
        raise _trouble(answer)
    return SmsAccepted(str(answer.get("BizId", "")))


def _trouble(told: dict[str, Any]) -> PartnerTrouble:
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))[:200]
    if not code:
        return PartnerBusy("sms", "no-response")
    if code.startswith("isv.BUSINESS_LIMIT_CONTROL"):
        pause = next((seconds for word, seconds in _PAUSES.items() if word in message), 60.0)
        return SmsTooOften("sms", code, message, retry_after=pause)
    kind = next((kind for start, kind in _TROUBLES if code.startswith(start)), SmsRefused)
    return kind("sms", code, message)
