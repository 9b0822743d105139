"""SendSms as Tencent Cloud answers it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from backend import clock
from backend.partners.sms.sandbox.world import Refusal, SmsWorld
from backend.partners.sms.tc3 import ALGORITHM, signature_of

SIGNATURE_LIVES = 300
CODES: Mapping[str, str] = {
    Refusal.NUMBER: "InvalidParameterValue.IncorrectPhoneNumber",
    Refusal.SIGNATURE: "FailedOperation.SignatureIncorrectOrUnapproved",
    Refusal.TEMPLATE: "FailedOperation.TemplateIncorrectOrUnapproved",
    Refusal.BLOCKED: "FailedOperation.PhoneNumberInBlacklist",
    Refusal.SOON: "LimitExceeded.PhoneNumberThirtySecondLimit",
    Refusal.DAY: "LimitExceeded.PhoneNumberDailyLimit",
}
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/]+)/\d{{4}}-\d\d-\d\d/sms/tc3_request, SignedHeaders=content-type;host, "
    r"Signature=([0-9a-f]{64})",
    re.ASCII,
)


def answer(world: SmsWorld, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The `Response` of one request."""
    if (refused := _unauthorised(world, headers, body)) is not None:
        return {"Error": {"Code": refused, "Message": refused}, "RequestId": secrets.token_hex(16)}
    content = msgspec.json.decode(body)
    if headers.get("x-tc-action") != "SendSms" or content.get("SmsSdkAppId") != world.app_id:
        return {"Error": {"Code": "UnauthorizedOperation.SmsSdkAppIdVerifyFail", "Message": ""}}
    statuses = [_status(world, phone, content) for phone in content.get("PhoneNumberSet", [])]
    return {"SendStatusSet": statuses, "RequestId": secrets.token_hex(16)}


def _unauthorised(world: SmsWorld, headers: Mapping[str, str], body: bytes) -> str | None:
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    stamp = headers.get("x-tc-timestamp", "")
    if found is None or not stamp.isdecimal():
        return "AuthFailure.SignatureFailure"
    if found.group(1) != world.secret_id:
        return "AuthFailure.SecretIdNotFound"
    if abs(int(stamp) - clock.timestamp()) > SIGNATURE_LIVES:
        return "AuthFailure.SignatureExpire"
    expected = signature_of(
        secret_key=world.secret_key,
        service="sms",
        host=headers.get("host", ""),
        timestamp=int(stamp),
        body=body,
        content_type=headers.get("content-type", ""),
    )
    return None if secrets.compare_digest(found.group(2), expected) else "AuthFailure.SignatureFailure"


def _status(world: SmsWorld, phone: str, content: Mapping[str, Any]) -> dict[str, Any]:
    reference = str(content.get("SessionContext", ""))
    text, refusal = world.take(
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
