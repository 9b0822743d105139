"""The simulated gateways take nothing that the real ones would not: every mistake in our signing is seen."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend import clock
from backend.partners import Partners, partners_from
from backend.partners.sandbox import Sandbox
from backend.partners.sms import acs3, aliyun, tc3, tencent
from backend.partners.sms.port import SmsMessage, SmsMisconfigured, SmsRefused
from backend.partners.sms.tables import GATEWAYS, Gateway
from backend.settings import settings

TC3 = tc3.authorization
ACS3 = acs3.authorization
NOT_OURS: dict[str, tuple[Gateway, Callable[..., str]]] = {
    "signed for another day": ("tencent", lambda **given: TC3(**given).replace("=AKIDSandbox/2", "=AKIDSandbox/1")),
    "signed for another service": ("tencent", lambda **given: TC3(**{**given, "service": "cvm"})),
    "signed for another host": ("tencent", lambda **given: TC3(**{**given, "host": "sms.tencentcloudapi.com"})),
    "signed over another body": ("tencent", lambda **given: TC3(**{**given, "body": given["body"] + b" "})),
    "signed at another second": ("tencent", lambda **given: TC3(**{**given, "timestamp": given["timestamp"] + 1})),
    "signed in upper case": ("tencent", lambda **given: upper(TC3(**given))),
    "signed without the host": ("tencent", lambda **given: TC3(**given).replace("content-type;host", "content-type")),
    "signed by the name of another": ("tencent", lambda **given: TC3(**{**given, "secret_id": "AKIDOther"})),
    "nothing signed": ("tencent", lambda **given: ""),
    "signed over another path": ("aliyun", lambda **given: ACS3(**{**given, "path": "/sms"})),
    "signed over an unsorted query": ("aliyun", lambda **given: ACS3(**{**given, "query": turned(given["query"])})),
    "signed as a GET": ("aliyun", lambda **given: ACS3(**{**given, "method": "GET"})),
    "signed without the nonce": ("aliyun", lambda **given: ACS3(**{**given, "headers": less(given["headers"])})),
    "signed with SHA-1": ("aliyun", lambda **given: by_sha1(given)),
    "signed in upper case too": ("aliyun", lambda **given: upper(ACS3(**given))),
    "unsigned": ("aliyun", lambda **given: ""),
}


def upper(authorization: str) -> str:
    start, _, signature = authorization.rpartition("=")
    return f"{start}={signature.upper()}"


def turned(query: str) -> str:
    return "&".join(query.split("&")[::-1])


def less(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "x-acs-signature-nonce"}


def by_sha1(given: dict[str, Any]) -> str:
    start, _, _ = ACS3(**given).rpartition("=")
    canonical = acs3.canonical_request(given["method"], given["path"], given["query"], given["headers"])
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return f"{start}={hmac.new(given['secret'].encode(), text.encode(), hashlib.sha1).hexdigest()}"


def ours(gateway: Gateway, **changes: Any) -> Partners:
    return partners_from(replace(settings(), sms_provider=gateway, **changes))


async def send(bundle: Partners, **changes: Any) -> str:
    given = {"phone": "13800000001", "template": "100001", "parameters": {"a": "b c*~"}, "reference": "m-1"}
    assert bundle.sms is not None
    try:
        return (await bundle.sms.send(SmsMessage(**{**given, **changes}))).serial
    finally:
        await bundle.close()


@pytest.mark.parametrize("gateway", GATEWAYS)
async def test_what_is_right_is_taken(sandbox: Sandbox, gateway: Gateway):
    assert await send(ours(gateway)) == sandbox.sms.texts[-1].serial


@pytest.mark.parametrize("mistake", NOT_OURS)
async def test_a_mistake_of_ours_is_refused(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, mistake: str):
    gateway, wrong = NOT_OURS[mistake]
    monkeypatch.setattr(tencent if gateway == "tencent" else aliyun, "authorization", wrong)

    with pytest.raises(SmsMisconfigured):
        await send(ours(gateway))
    assert sandbox.sms.texts == []


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_clock_that_is_far_from_theirs_is_refused(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, gateway: Gateway, minutes: int
):
    module = tencent if gateway == "tencent" else aliyun
    with clock.travel(by=timedelta(minutes=minutes)):
        then, stamp = clock.now(), clock.timestamp()

    class Other:
        now, timestamp = staticmethod(lambda: then), staticmethod(lambda: stamp)

    monkeypatch.setattr(module, "clock", Other)

    with pytest.raises(SmsMisconfigured):
        await send(ours(gateway))


async def test_tencent_wants_a_region_where_it_sends_texts(sandbox: Sandbox):
    with pytest.raises(SmsMisconfigured) as trouble:
        await send(ours("tencent", sms_region="ap-nowhere"))
    assert trouble.value.partner_code == "UnsupportedRegion"


@pytest.mark.parametrize("reference", ["r" * 512, "字" * 171])
async def test_tencent_takes_no_context_of_512_bytes(sandbox: Sandbox, reference: str):
    assert await send(ours("tencent"), reference="字" * 170)
    with pytest.raises(SmsRefused):
        await send(ours("tencent"), reference=reference, phone="13800000002")
