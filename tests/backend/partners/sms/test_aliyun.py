"""Alibaba Cloud's gateway: signature vectors, and the live body against the sandbox, which signs by its own hand."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import clock
from backend.partners import Partners, partners_from
from backend.partners.errors import Remedy
from backend.partners.sandbox import Sandbox
from backend.partners.sms.acs3 import authorization, canonical_query, canonical_request
from backend.partners.sms.port import (
    SmsMessage,
    SmsMisconfigured,
    SmsPhoneRefused,
    SmsTooOften,
)
from backend.partners.sms.sandbox import aliyun
from backend.settings import settings, using

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/aliyun_acs3.json").read_text())


@pytest.fixture
async def partners(sandbox: Sandbox) -> AsyncIterator[Partners]:
    """Our side of Alibaba Cloud."""
    with using(sms_provider="aliyun"):
        bundle = partners_from(settings())
        yield bundle
        await bundle.close()


def a_text(phone: str = "13800000001") -> SmsMessage:
    return SmsMessage(
        phone=phone, template="SMS_100001", parameters={"item": "居住证 签注*~", "number": "A&B=1+2%"}, reference="m-1"
    )


async def sent(partners: Partners, message: SmsMessage) -> str:
    assert partners.sms is not None
    return (await partners.sms.send(message)).serial


@pytest.mark.parametrize("name", ["official", "sms"])
def test_the_known_signatures_are_made_byte_for_byte(name: str):
    case = VECTORS[name]
    query = canonical_query(case["parameters"])

    made = authorization(
        key_id=case["key_id"],
        secret=case["secret"],
        method=case["method"],
        path=case["path"],
        query=query,
        headers=case["headers"],
    )

    assert canonical_request("POST", "/", query, case["headers"]) == case["canonical_request"]
    assert made == case["authorization"]


@given(
    parameters=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        max_size=6,
    )
)
def test_what_was_escaped_is_read_back_as_it_was(parameters: dict[str, str]):
    query = canonical_query(parameters)

    assert {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()} == parameters
    assert not set(query) & set(" *+'\"")


async def test_a_text_is_taken_under_the_names_of_its_parameters_with_fresh_keys(sandbox: Sandbox):
    key_id, secret = f"LTAI{secrets.token_hex(8)}", secrets.token_urlsafe(24)
    sandbox.sms.secret_id, sandbox.sms.secret_key = key_id, secret
    bundle = partners_from(replace(settings(), sms_provider="aliyun", sms_secret_id=key_id, sms_secret_key=secret))

    serial = await sent(bundle, a_text())

    await bundle.close()
    (text,) = sandbox.sms.texts
    assert (text.serial, text.phone, text.template) == (serial, "+8613800000001", "SMS_100001")
    assert (text.parameters, text.reference) == (["居住证 签注*~", "A&B=1+2%"], "m-1")


@pytest.mark.usefixtures("noon")
async def test_one_number_gets_one_text_a_minute_five_an_hour_and_ten_a_day(sandbox: Sandbox, partners: Partners):
    waits = []
    for gap in (30, 31, *[61] * 5, 3600, *[61] * 6):
        try:
            await sent(partners, a_text())
        except SmsTooOften as trouble:
            waits.append(trouble.retry_after)
        sandbox.sms.shift += timedelta(seconds=gap)

    assert waits[0] == 60
    assert 3600 in waits
    assert len(sandbox.sms.texts) <= 10


@pytest.mark.usefixtures("noon")
async def test_a_tenth_text_of_the_day_is_the_last(sandbox: Sandbox, partners: Partners):
    await sent(partners, a_text())
    earlier = sandbox.sms.now() - timedelta(hours=2)
    sandbox.sms.texts = [replace(sandbox.sms.texts[0], at=earlier) for _ in range(10)]

    with pytest.raises(SmsTooOften) as today:
        await sent(partners, a_text())

    assert today.value.retry_after == 86_400


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("sms_secret_key", "wrong", "SignatureDoesNotMatch"),
        ("sms_secret_id", "wrong", "InvalidAccessKeyId.NotFound"),
        ("sms_sign_name", "别人", "isv.SMS_SIGNATURE_ILLEGAL"),
    ],
)
async def test_a_wrong_configuration_is_a_matter_for_the_operator(sandbox: Sandbox, name: str, value: str, code: str):
    bundle = partners_from(replace(settings(), sms_provider="aliyun", **{name: value}))

    with pytest.raises(SmsMisconfigured) as trouble:
        await sent(bundle, a_text())

    await bundle.close()
    assert (trouble.value.partner_code, trouble.value.remedy) == (code, Remedy.CONFIGURE)


async def test_a_clock_that_is_wrong_is_a_matter_for_the_operator(sandbox: Sandbox, partners: Partners):
    signed = partners.sms._signed("/?A=1")  # type: ignore[union-attr]

    with clock.travel(by=timedelta(minutes=16)):
        status, answer = aliyun.answer(sandbox.sms, "A=1", signed, b"")

    assert (status, answer["Code"]) == (400, "InvalidTimeStamp.Expired")


async def test_a_request_that_is_played_again_is_refused(sandbox: Sandbox, partners: Partners):
    query = canonical_query({"PhoneNumbers": "13800000001", "SignName": "掌办", "TemplateCode": "SMS_1"})
    signed = partners.sms._signed(f"/?{query}")  # type: ignore[union-attr]

    first, again = (aliyun.answer(sandbox.sms, query, signed, b"")[1]["Code"] for _ in range(2))
    changed = aliyun.answer(sandbox.sms, query.replace("001&", "002&"), signed, b"")[1]["Code"]

    assert (first, again, changed) == ("OK", "SignatureNonceUsed", "SignatureDoesNotMatch")


@pytest.mark.parametrize("phone", ["+85291234567", "12345"])
async def test_what_is_no_number_of_the_mainland_is_refused(partners: Partners, phone: str):
    with pytest.raises(SmsPhoneRefused):
        await sent(partners, a_text(phone))
