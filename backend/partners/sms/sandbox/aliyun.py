"""SendSms as Alibaba Cloud answers it. The signature is worked out here from what arrived, apart from the adapter."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import msgspec

from backend import clock
from backend.partners.sms.sandbox.world import Refusal, SmsWorld

SIGNATURE_LIVES = timedelta(minutes=15)
CODES: Mapping[str, tuple[str, str]] = {
    Refusal.NUMBER: ("isv.MOBILE_NUMBER_ILLEGAL", "非法手机号"),
    Refusal.SIGNATURE: ("isv.SMS_SIGNATURE_ILLEGAL", "短信签名不合法"),
    Refusal.TEMPLATE: ("isv.SMS_TEMPLATE_ILLEGAL", "短信模板不合法"),
    Refusal.BLOCKED: ("isv.PHONENUMBER_BLACKLIST", "号码在黑名单中"),
    Refusal.SOON: ("isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1"),
    Refusal.HOUR: ("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5"),
    Refusal.DAY: ("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10"),
}
_AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=(.+),SignedHeaders=([a-z0-9;-]+),Signature=([0-9a-f]{64})")
_MUST_BE_SIGNED = {
    "host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version",
}  # fmt: skip


def answer(world: SmsWorld, query: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and body of one request; `query` as it came over the wire."""
    if (refused := _unauthorised(world, query, headers, body)) is not None:
        return refused[0], _said(refused[1], refused[1])
    if (headers["x-acs-action"], headers["x-acs-version"]) != ("SendSms", "2017-05-25"):
        return 404, _said("InvalidAction.NotFound", "Specified api is not found")
    asked = dict(parse_qsl(query))
    try:
        values = msgspec.json.decode(asked.get("TemplateParam") or "{}", type=dict[str, str])
    except msgspec.DecodeError:
        return 200, _said("isv.INVALID_JSON_PARAM", "JSON参数不合法")
    phone = asked.get("PhoneNumbers", "")
    text, refusal = world.accept(
        "aliyun",
        phone=f"+86{phone}" if len(phone) == 11 else f"+{phone}",
        template=asked.get("TemplateCode", ""),
        parameters=list(values.values()),
        reference=asked.get("OutId", ""),
        sign_name=asked.get("SignName", ""),
    )
    if text is None:
        return 200, _said(*CODES.get(refusal, (refusal, refusal)))
    return 200, {**_said("OK", "OK"), "BizId": text.serial}


def _said(code: str, message: str) -> dict[str, Any]:
    return {"Code": code, "Message": message, "RequestId": secrets.token_hex(16)}


def _unauthorised(world: SmsWorld, query: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str] | None:
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        return 400, "IncompleteSignature"
    key_id, named, given = found.groups()
    names = named.split(";")
    if key_id != world.secret_id:
        return 404, "InvalidAccessKeyId.NotFound"
    if names != sorted(names) or not set(names) >= _MUST_BE_SIGNED or not set(names) <= set(headers):
        return 400, "IncompleteSignature"
    try:
        at = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return 400, "InvalidTimeStamp.Format"
    if abs(at - clock.now()) > SIGNATURE_LIVES:
        return 400, "InvalidTimeStamp.Expired"
    if not secrets.compare_digest(given, _expected(world.secret_key, query, names, headers, body)):
        return 400, "SignatureDoesNotMatch"
    if headers["x-acs-signature-nonce"] in world.nonces:
        return 400, "SignatureNonceUsed"
    world.nonces.add(headers["x-acs-signature-nonce"])
    return None


def _expected(secret: str, query: str, names: list[str], headers: Mapping[str, str], body: bytes) -> str:
    pairs = sorted(f"{_escaped(name)}={_escaped(value)}" for name, value in parse_qsl(query, keep_blank_values=True))
    signed = "".join(f"{name}:{headers[name]}\n" for name in names)
    canonical = "\n".join(["POST", "/", "&".join(pairs), signed, ";".join(names), hashlib.sha256(body).hexdigest()])
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _escaped(text: str) -> str:
    return quote_plus(text).replace("+", "%20").replace("*", "%2A").replace("%7E", "~")
