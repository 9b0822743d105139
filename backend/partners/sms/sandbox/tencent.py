"""SendSms as Tencent Cloud answers it. The signature is worked out here from what arrived, apart from the adapter."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from backend import clock
from backend.partners.sms.sandbox.world import Refusal, SmsWorld

SIGNATURE_LIVES = 300
MOST_PHONES, LARGEST_CONTEXT = 200, 512
REGIONS = frozenset({"ap-beijing", "ap-guangzhou", "ap-nanjing"})
CODES: Mapping[str, str] = {
    Refusal.NUMBER: "InvalidParameterValue.IncorrectPhoneNumber",
    Refusal.SIGNATURE: "FailedOperation.SignatureIncorrectOrUnapproved",
    Refusal.TEMPLATE: "FailedOperation.TemplateIncorrectOrUnapproved",
    Refusal.BLOCKED: "FailedOperation.PhoneNumberInBlacklist",
    Refusal.SOON: "LimitExceeded.PhoneNumberThirtySecondLimit",
    Refusal.DAY: "LimitExceeded.PhoneNumberDailyLimit",
}
_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/]+)/(\d{4}-\d\d-\d\d)/sms/tc3_request, SignedHeaders=([a-z0-9;-]+), "
    r"Signature=([0-9a-f]{64})",
    re.ASCII,
)
_MUST_BE_SIGNED = {"content-type", "host"}


def answer(world: SmsWorld, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The `Response` of one request."""
    if (refused := _unauthorised(world, headers, body)) is not None:
        return {"Error": {"Code": refused, "Message": refused}, "RequestId": secrets.token_hex(16)}
    if (wrong := _misunderstood(headers)) is not None:
        return {"Error": {"Code": wrong, "Message": wrong}, "RequestId": secrets.token_hex(16)}
    content = msgspec.json.decode(body)
    if content.get("SmsSdkAppId") != world.app_id:
        return {"Error": {"Code": "UnauthorizedOperation.SmsSdkAppIdVerifyFail", "Message": ""}}
    phones = content.get("PhoneNumberSet", [])
    if not 1 <= len(phones) <= MOST_PHONES or len(str(content.get("SessionContext", "")).encode()) >= LARGEST_CONTEXT:
        return {"Error": {"Code": "InvalidParameterValue", "Message": ""}, "RequestId": secrets.token_hex(16)}
    statuses = [_status(world, phone, content) for phone in phones]
    return {"SendStatusSet": statuses, "RequestId": secrets.token_hex(16)}


def _misunderstood(headers: Mapping[str, str]) -> str | None:
    """What of the common parameters is not as SendSms has them."""
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return "InvalidParameter"
    if headers.get("x-tc-action") != "SendSms":
        return "InvalidAction"
    if headers.get("x-tc-version") != "2021-01-11":
        return "NoSuchVersion"
    return None if headers.get("x-tc-region") in REGIONS else "UnsupportedRegion"


def _unauthorised(world: SmsWorld, headers: Mapping[str, str], body: bytes) -> str | None:
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    stamp = headers.get("x-tc-timestamp", "")
    if found is None or not re.fullmatch(r"[0-9]{1,12}", stamp):
        return "AuthFailure.SignatureFailure"
    secret_id, day, named, given = found.groups()
    names = named.split(";")
    if secret_id != world.secret_id:
        return "AuthFailure.SecretIdNotFound"
    if abs(int(stamp) - clock.timestamp()) > SIGNATURE_LIVES:
        return "AuthFailure.SignatureExpire"
    is_that_day = day == time.strftime("%Y-%m-%d", time.gmtime(int(stamp)))
    if not is_that_day or names != sorted(names) or not _MUST_BE_SIGNED <= set(names) <= set(headers):
        return "AuthFailure.SignatureFailure"
    expected = _expected(world.secret_key, stamp, day, names, headers, body)
    return None if secrets.compare_digest(given, expected) else "AuthFailure.SignatureFailure"


def _expected(secret: str, stamp: str, day: str, names: list[str], headers: Mapping[str, str], body: bytes) -> str:
    signed = "".join(f"{name}:{headers[name].strip().lower()}\n" for name in names)
    canonical = "\n".join(["POST", "/", "", signed, ";".join(names), hashlib.sha256(body).hexdigest()])
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{stamp}\n{day}/sms/tc3_request\n{hashed}"
    key = hmac.new(f"TC3{secret}".encode(), day.encode(), hashlib.sha256).digest()
    key = hmac.new(key, b"sms", hashlib.sha256).digest()
    key = hmac.new(key, b"tc3_request", hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _status(world: SmsWorld, phone: str, content: Mapping[str, Any]) -> dict[str, Any]:
    reference = str(content.get("SessionContext", ""))
    text, refusal = world.accept(
        "tencent",
        phone=phone,
        template=str(content.get("TemplateId", "")),
        parameters=[str(each) for each in content.get("TemplateParamSet", [])],
        reference=reference,
        sign_name=str(content.get("SignName", "")),
    )
    code = CODES.get(refusal, refusal)
    return {
        "SerialNo": text.serial if text else "",
        "PhoneNumber": phone,
        "Fee": 1 if text else 0,
        "SessionContext": reference,
        "Code": code or "Ok",
        "Message": code or "send success",
        "IsoCode": "CN",
    }
