"""Alibaba Cloud SMS, SendSms of 2017-05-25, as its public API reference describes it."""

from __future__ import annotations

import secrets

import msgspec
from yarl import URL

from backend import clock
from backend.partners.base import PartnerClient, Reply, Request, Wire, decoded
from backend.partners.sms.acs3 import authorization, canonical_query, digest
from backend.partners.sms.numbers import domestic
from backend.partners.sms.port import SmsAccepted, SmsMessage
from backend.partners.sms.tables import load
from backend.settings import Settings


class AliyunSms:
    """The port `Sms` over Alibaba Cloud's HTTP interface, or the sandbox at another address."""

    def __init__(self, wire: Wire, values: Settings) -> None:
        self._client = PartnerClient("sms", values.sms_api_base, wire, values)
        self._host = URL(values.sms_api_base).host_port_subcomponent or ""
        self._values = values
        self._table = load("aliyun", values.sms_tables)

    async def send(self, message: SmsMessage) -> SmsAccepted:
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
        return await self._client.send("send_sms", Request(method="POST", path=target, sign=self._signed), self._read)

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

    def _read(self, reply: Reply) -> SmsAccepted:
        answer = decoded("sms", reply)
        if answer.get("Code") != "OK":
            raise self._table.error(str(answer.get("Code") or ""), str(answer.get("Message") or ""))
        return SmsAccepted(str(answer.get("BizId", "")))
