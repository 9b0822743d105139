"""Tencent Cloud SMS, SendSms of 2021-01-11, as its public API reference describes it."""

from __future__ import annotations

from typing import Any

import msgspec
from yarl import URL

from backend import clock
from backend.partners.base import PartnerClient, Reply, Request, Wire, decoded
from backend.partners.errors import PartnerBusy, PartnerError
from backend.partners.sms.numbers import e164
from backend.partners.sms.port import SmsAccepted, SmsMessage
from backend.partners.sms.tables import load
from backend.partners.sms.tc3 import CONTENT_TYPE, authorization
from backend.settings import Settings


class TencentSms:
    """The port `Sms` over Tencent's HTTP interface, or the sandbox at another address."""

    def __init__(self, wire: Wire, values: Settings) -> None:
        self._client = PartnerClient("sms", values.sms_api_base, wire, values)
        self._host = URL(values.sms_api_base).host_port_subcomponent or ""
        self._values = values
        self._table = load("tencent", values.sms_tables)

    async def send(self, message: SmsMessage) -> SmsAccepted:
        content = {
            "PhoneNumberSet": [e164(message.phone)],
            "SmsSdkAppId": self._values.sms_app_id,
            "SignName": self._values.sms_sign_name,
            "TemplateId": message.template,
            "TemplateParamSet": list(message.parameters.values()),
            "SessionContext": message.reference,
        }
        return await self._client.send("send_sms", self._signed("SendSms", msgspec.json.encode(content)), self._read)

    def _signed(self, action: str, body: bytes) -> Request:
        timestamp = clock.timestamp()
        signature = authorization(
            secret_id=self._values.sms_secret_id,
            secret_key=self._values.sms_secret_key,
            service="sms",
            host=self._host,
            timestamp=timestamp,
            body=body,
        )
        headers = {
            "Authorization": signature,
            "Content-Type": CONTENT_TYPE,
            "X-TC-Action": action,
            "X-TC-Version": "2021-01-11",
            "X-TC-Timestamp": str(timestamp),
            "X-TC-Region": self._values.sms_region,
        }
        return Request(method="POST", path="/", body=body, headers=headers)

    def _read(self, reply: Reply) -> SmsAccepted:
        answer = decoded("sms", reply).get("Response")
        if not isinstance(answer, dict):
            raise PartnerBusy("sms", "no-response")
        if isinstance(error := answer.get("Error"), dict):
            raise self._error(error)
        statuses = answer.get("SendStatusSet")
        if not isinstance(statuses, list) or len(statuses) != 1 or not isinstance(statuses[0], dict):
            raise PartnerBusy("sms", "no-response")
        status: dict[str, Any] = statuses[0]
        if status.get("Code") != "Ok":
            raise self._error(status)
        return SmsAccepted(str(status.get("SerialNo", "")))

    def _error(self, answer: dict[str, Any]) -> PartnerError:
        return self._table.error(str(answer.get("Code") or ""), str(answer.get("Message") or ""))
