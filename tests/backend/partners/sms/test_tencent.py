"""The SMS gateway: signature vectors, and the live body against the sandbox."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend import clock
from backend.partners import Partners, partners_from
from backend.partners.base import Reply, Wire
from backend.partners.errors import PartnerBusy, Remedy
from backend.partners.sandbox import Sandbox
from backend.partners.sms import tencent as tencent_live
from backend.partners.sms.numbers import domestic, e164
from backend.partners.sms.port import (
    SmsMessage,
    SmsMisconfigured,
    SmsPhoneRefused,
    SmsTooOften,
)
from backend.partners.sms.sandbox import tencent
from backend.partners.sms.tc3 import authorization
from backend.settings import settings

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/tencent_tc3.json").read_text())


def a_text(phone: str = "13800000001") -> SmsMessage:
    return SmsMessage(
        phone=phone, template="100001", parameters={"item": "居住证签注", "number": "已受理"}, reference="m-1"
    )


async def sent(partners: Partners, message: SmsMessage) -> str:
    assert partners.sms is not None
    return (await partners.sms.send(message)).serial


@pytest.mark.parametrize("name", ["official", "sms"])
def test_the_known_signatures_are_made_byte_for_byte(name: str):
    case = VECTORS[name]

    made = authorization(
        secret_id=case["secret_id"],
        secret_key=case["secret_key"],
        service=case["service"],
        host=case["host"],
        timestamp=int(case["timestamp"]),
        body=case["payload"].encode(),
    )

    assert made == case["authorization"]


async def test_a_text_is_taken_and_has_a_serial(sandbox: Sandbox, partners: Partners):
    serial = await sent(partners, a_text())

    (text,) = sandbox.sms.texts
    assert (text.serial, text.phone, text.template) == (serial, "+8613800000001", "100001")
    assert (text.parameters, text.reference) == (["居住证签注", "已受理"], "m-1")


@pytest.mark.usefixtures("noon")
async def test_one_number_gets_one_text_in_thirty_seconds_and_ten_a_day(sandbox: Sandbox, partners: Partners):
    await sent(partners, a_text())
    with pytest.raises(SmsTooOften) as soon:
        await sent(partners, a_text())
    await sent(partners, a_text("13800000002"))
    for _ in range(9):
        sandbox.sms.shift += timedelta(seconds=31)
        sandbox.sms.texts[0].at = sandbox.sms.now() - timedelta(seconds=31)
        sandbox.sms.texts.append(replace(sandbox.sms.texts[0]))

    with pytest.raises(SmsTooOften) as today:
        await sent(partners, a_text())

    assert soon.value.retry_after == 30
    assert today.value.retry_after == 86_400


@pytest.mark.parametrize("phone", ["12345", "0755-1234567", "+1", "", "abc", "+86 138"])
async def test_what_is_no_number_is_not_sent(partners: Partners, phone: str):
    with pytest.raises(SmsPhoneRefused):
        await sent(partners, a_text(phone))


def test_numbers_are_written_with_their_country():
    assert e164("138 0000-0001") == "+8613800000001"
    assert e164("+85291234567") == "+85291234567"
    assert domestic("+86 138-0000-0001") == "13800000001"
    assert domestic("+85291234567") == "85291234567"


async def test_a_foreign_number_is_refused_by_the_gateway(partners: Partners):
    with pytest.raises(SmsPhoneRefused):
        await sent(partners, a_text("+85291234567"))


async def test_a_blocked_number_is_refused_for_good(sandbox: Sandbox, partners: Partners):
    sandbox.sms.blocked = {"+8613800000001"}

    with pytest.raises(SmsPhoneRefused) as trouble:
        await sent(partners, a_text())
    assert trouble.value.remedy is Remedy.GIVE_UP


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("sms_secret_key", "wrong", "AuthFailure.SignatureFailure"),
        ("sms_secret_id", "wrong", "AuthFailure.SecretIdNotFound"),
        ("sms_sign_name", "别人", "FailedOperation.SignatureIncorrectOrUnapproved"),
        ("sms_app_id", "1", "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
    ],
)
async def test_a_wrong_configuration_is_a_matter_for_the_operator(sandbox: Sandbox, name: str, value: str, code: str):
    bundle = partners_from(replace(settings(), **{name: value}))

    with pytest.raises(SmsMisconfigured) as trouble:
        await sent(bundle, a_text())

    await bundle.close()
    assert trouble.value.partner_code == code
    assert trouble.value.remedy is Remedy.CONFIGURE


async def test_an_unapproved_template_is_a_matter_for_the_operator(sandbox: Sandbox, partners: Partners):
    sandbox.sms.templates = {"200002"}

    with pytest.raises(SmsMisconfigured):
        await sent(partners, a_text())


async def test_a_signature_of_another_time_is_refused(sandbox: Sandbox, partners: Partners):
    body = b'{"SmsSdkAppId":"1400000000"}'
    with clock.travel(by=timedelta(minutes=-6)):
        stamp = clock.timestamp()
    signed = authorization(
        secret_id=sandbox.sms.secret_id,
        secret_key=sandbox.sms.secret_key,
        service="sms",
        host="h",
        timestamp=stamp,
        body=body,
    )

    answer = tencent.answer(sandbox.sms, {"authorization": signed, "x-tc-timestamp": str(stamp), "host": "h"}, body)

    assert answer["Error"]["Code"] == "AuthFailure.SignatureExpire"


ONE = {"SerialNo": "s1", "Code": "Ok"}


@pytest.mark.parametrize(
    "said",
    [{}, {"Response": []}, {"Response": {}}, {"Response": {"SendStatusSet": []}}, {"Response": {"SendStatusSet": [1]}},
     {"Response": {"SendStatusSet": [ONE, ONE]}}, {"Response": {"SendStatusSet": ONE}}],
    ids=str,
)  # fmt: skip
def test_an_answer_that_is_not_about_one_text_says_nothing_for_good(said: Any):
    ours = tencent_live.TencentSms(Wire(settings()), replace(settings(), sms_api_base="http://127.0.0.1:9"))

    assert ours._read(Reply(200, {}, json.dumps({"Response": {"SendStatusSet": [ONE]}}).encode())).serial == "s1"
    with pytest.raises(PartnerBusy):
        ours._read(Reply(200, {}, json.dumps(said).encode()))
