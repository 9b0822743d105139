"""An SMS gateway of our own: SendSms as Tencent answers it, signature checked, frequency limited."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Struct

from backend import clock
from backend.partners.sms.tc3 import ALGORITHM, signature_of
from backend.settings import Settings

DEFAULTS: dict[str, str] = {
    "sms_secret_id": "AKIDSandbox",
    "sms_secret_key": "sandbox-sms-secret",
    "sms_app_id": "1400000000",
    "sms_sign_name": "掌办",
}
SIGNATURE_LIVES = 300
SHORT_PAUSE = timedelta(seconds=30)
A_DAY = 10
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/]+)/\d{{4}}-\d\d-\d\d/sms/tc3_request, SignedHeaders=content-type;host, "
    r"Signature=([0-9a-f]{64})",
    re.ASCII,
)


@dataclass
class Text:
    """A text that was accepted."""

    at: datetime
    phone: str
    template: str
    parameters: list[str]
    reference: str
    serial: str


@dataclass
class SmsWorld:
    """What the gateway remembers. `templates` empty means that every template is approved."""

    secret_id: str
    secret_key: str
    app_id: str
    sign_name: str
    shift: timedelta = timedelta(0)
    templates: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    texts: list[Text] = field(default_factory=list)

    @classmethod
    def of(cls, values: Settings) -> SmsWorld:
        """With the names and keys of the settings, or the sandbox's own."""
        known = [getattr(values, name) or fallback for name, fallback in DEFAULTS.items()]
        secret_id, secret_key, app_id, sign_name = known
        return cls(secret_id, secret_key, app_id, sign_name)

    def now(self) -> datetime:
        """The gateway's time, UTC."""
        return clock.now() + self.shift

    def answer(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The `Response` of one request."""
        if (refused := self._unauthorised(headers, body)) is not None:
            return {"Error": {"Code": refused, "Message": refused}, "RequestId": secrets.token_hex(16)}
        content = msgspec.json.decode(body)
        if headers.get("x-tc-action") != "SendSms" or content.get("SmsSdkAppId") != self.app_id:
            return {"Error": {"Code": "UnauthorizedOperation.SmsSdkAppIdVerifyFail", "Message": ""}}
        statuses = [self._status(phone, content) for phone in content.get("PhoneNumberSet", [])]
        return {"SendStatusSet": statuses, "RequestId": secrets.token_hex(16)}

    def _unauthorised(self, headers: Mapping[str, str], body: bytes) -> str | None:
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        stamp = headers.get("x-tc-timestamp", "")
        if found is None or not stamp.isdecimal():
            return "AuthFailure.SignatureFailure"
        if found.group(1) != self.secret_id:
            return "AuthFailure.SecretIdNotFound"
        if abs(int(stamp) - clock.timestamp()) > SIGNATURE_LIVES:
            return "AuthFailure.SignatureExpire"
        expected = signature_of(
            secret_key=self.secret_key,
            service="sms",
            host=headers.get("host", ""),
            timestamp=int(stamp),
            body=body,
            content_type=headers.get("content-type", ""),
        )
        return None if secrets.compare_digest(found.group(2), expected) else "AuthFailure.SignatureFailure"

    def _status(self, phone: str, content: Mapping[str, Any]) -> dict[str, Any]:
        code = self._refusal(phone, content)
        serial = "" if code else secrets.token_hex(8)
        reference = str(content.get("SessionContext", ""))
        if not code:
            parameters = [str(each) for each in content.get("TemplateParamSet", [])]
            self.texts.append(Text(self.now(), phone, content["TemplateId"], parameters, reference, serial))
        return {
            "SerialNo": serial,
            "PhoneNumber": phone,
            "Fee": 0 if code else 1,
            "SessionContext": reference,
            "Code": code or "Ok",
            "Message": code or "send success",
            "IsoCode": "CN",
        }

    def _refusal(self, phone: str, content: Mapping[str, Any]) -> str | None:
        if not re.fullmatch(r"\+861[3-9]\d{9}", phone):
            return "InvalidParameterValue.IncorrectPhoneNumber"
        if content.get("SignName") != self.sign_name:
            return "FailedOperation.SignatureIncorrectOrUnapproved"
        if not content.get("TemplateId") or (self.templates and content["TemplateId"] not in self.templates):
            return "FailedOperation.TemplateIncorrectOrUnapproved"
        if phone in self.blocked:
            return "FailedOperation.PhoneNumberInBlacklist"
        sent = [text.at for text in self.texts if text.phone == phone]
        if any(self.now() - at < SHORT_PAUSE for at in sent):
            return "LimitExceeded.PhoneNumberThirtySecondLimit"
        if sum(clock.day_of(at) == clock.day_of(self.now()) for at in sent) >= A_DAY:
            return "LimitExceeded.PhoneNumberDailyLimit"
        return None


class SmsRulesIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The gateway's behaviour; what is left out stays."""

    templates: list[str] | None = None
    blocked: list[str] | None = None
    advance_seconds: float = 0.0


class SmsLevers(Controller):
    """What a tester sees and changes."""

    path = "/sandbox/sms"
    include_in_schema = False

    @get("/sent")
    async def sent(self, sms_world: NamedDependency[SmsWorld]) -> list[dict[str, Any]]:
        return [asdict(each) for each in sms_world.texts]

    @put("/rules")
    async def rules(self, sms_world: NamedDependency[SmsWorld], data: JSONBody[SmsRulesIn]) -> dict[str, Any]:
        sms_world.shift += timedelta(seconds=data.advance_seconds)
        if data.templates is not None:
            sms_world.templates = set(data.templates)
        if data.blocked is not None:
            sms_world.blocked = set(data.blocked)
        return {"now": sms_world.now().isoformat()}


def sms_handlers(world: SmsWorld) -> list[HTTPRouteHandler]:
    """The route handlers that answer as the gateway does."""

    @post("/", status_code=200, include_in_schema=False)
    async def send_sms(request: Request[Any, Any, Any]) -> Response[bytes]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = {"Response": world.answer(headers, await request.body())}
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return [send_sms]
