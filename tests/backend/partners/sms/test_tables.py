"""What a gateway's code means for the sender of the text; its tables are the installation's to change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.partners import partners_from
from backend.partners.errors import PartnerBusy, PartnerError, PartnerUnreachable
from backend.partners.sandbox import Sandbox
from backend.partners.sms.faults import faults
from backend.partners.sms.port import (
    SmsMessage,
    SmsMisconfigured,
    SmsPhoneRefused,
    SmsQuotaSpent,
    SmsRefused,
    SmsTooOften,
)
from backend.partners.sms.tables import GATEWAYS, Gateway, load
from backend.settings import Settings, SettingsError, settings

at_both = pytest.mark.parametrize("gateway", GATEWAYS)
MEANINGS: list[tuple[Gateway, str, type[PartnerError]]] = [
    ("tencent", "InternalError.SendAndRecvFail", PartnerBusy),
    ("tencent", "RequestLimitExceeded", PartnerBusy),
    ("tencent", "LimitExceeded.PhoneNumberOneHourLimit", SmsTooOften),
    ("tencent", "LimitExceeded.AppMainlandChinaDailyLimit", SmsQuotaSpent),
    ("tencent", "FailedOperation.ContainSensitiveWord", SmsRefused),
    ("tencent", "FailedOperation.InsufficientBalanceInSmsPackage", SmsMisconfigured),
    ("aliyun", "isv.MOBILE_NUMBER_ILLEGAL", SmsPhoneRefused),
    ("aliyun", "isv.PHONENUMBER_BLACKLIST", SmsPhoneRefused),
    ("aliyun", "isv.BUSINESS_LIMIT_CONTROL", SmsTooOften),
    ("aliyun", "isv.DAY_LIMIT_CONTROL", SmsQuotaSpent),
    ("aliyun", "isv.AMOUNT_NOT_ENOUGH", SmsMisconfigured),
    ("aliyun", "isv.OUT_OF_SERVICE", SmsMisconfigured),
    ("aliyun", "isv.ACCOUNT_ABNORMAL", SmsMisconfigured),
    ("aliyun", "isv.PRODUCT_UN_SUBSCRIPT", SmsMisconfigured),
    ("aliyun", "isv.SMS_TEMPLATE_ILLEGAL", SmsMisconfigured),
    ("aliyun", "isp.RAM_PERMISSION_DENY", SmsMisconfigured),
    ("aliyun", "isp.SYSTEM_ERROR", PartnerBusy),
    ("aliyun", "Throttling.User", PartnerBusy),
    ("aliyun", "isv.BLACK_KEY_CONTROL_LIMIT", SmsRefused),
    ("aliyun", "isv.TEMPLATE_MISSING_PARAMETERS", SmsRefused),
    ("aliyun", "something.new", SmsRefused),
]


async def sent(gateway: Gateway, template: str = "100001") -> PartnerError:
    """What the gateway at the address of the settings has against a text."""
    bundle = partners_from(replace(settings(), sms_provider=gateway))
    assert bundle.sms is not None
    with pytest.raises(PartnerError) as trouble:
        await bundle.sms.send(SmsMessage(phone="13800000001", template=template, parameters={"a": "b"}))
    await bundle.close()
    return trouble.value


@pytest.mark.parametrize(("gateway", "code", "kind"), MEANINGS)
async def test_every_code_of_the_gateway_has_its_meaning(
    sandbox: Sandbox, gateway: Gateway, code: str, kind: type[PartnerError]
):
    sandbox.sms.refusals = [code]

    trouble = await sent(gateway)

    assert type(trouble) is kind
    assert trouble.partner_code == code


@at_both
@pytest.mark.parametrize("mode", ["reset", "drop_reply", "html", "broken_json", "status"])
async def test_a_text_whose_answer_is_lost_is_not_repeated(sandbox: Sandbox, gateway: Gateway, mode: Any):
    sandbox.world.faults.add("/", mode)

    trouble = await sent(gateway)

    assert isinstance(trouble, PartnerUnreachable)
    assert trouble.maybe_done
    assert sandbox.world.faults.struck == 1


@at_both
def test_a_refusal_without_a_code_says_nothing_for_good(gateway: Gateway):
    trouble = load(gateway).error("", "字" * 900)

    assert type(trouble) is PartnerBusy
    assert len(trouble.message) == 200


@pytest.mark.parametrize(
    ("gateway", "code", "message", "seconds"),
    [
        ("tencent", "LimitExceeded.PhoneNumberThirtySecondLimit", "", 30),
        ("tencent", "LimitExceeded.PhoneNumberOneHourLimit", "", 3600),
        ("tencent", "LimitExceeded.PhoneNumberSameContentDailyLimit", "", 86_400),
        ("tencent", "LimitExceeded.DeliveryFrequencyLimit", "", 60),
        ("aliyun", "isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1", 60),
        ("aliyun", "isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5", 3600),
        ("aliyun", "isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10", 86_400),
        ("aliyun", "isv.BUSINESS_LIMIT_CONTROL", "", 60),
    ],
)
def test_too_often_says_until_when(gateway: Gateway, code: str, message: str, seconds: float):
    trouble = load(gateway).error(code, message)

    assert type(trouble) is SmsTooOften
    assert trouble.retry_after == seconds


def test_the_longest_beginning_counts_in_any_order(tmp_path: Path):
    (tmp_path / "aliyun.toml").write_text('[codes]\n"isv.ACCOUNT_BUSY" = "busy"\n"isv." = "phone"\n')
    table = load("aliyun", str(tmp_path))

    kinds = [type(table.error(code, "")) for code in ("isv.ACCOUNT_BUSY_1", "isv.ACCOUNT_ABNORMAL", "isv.NEW")]

    assert kinds == [PartnerBusy, SmsMisconfigured, SmsPhoneRefused]


@pytest.mark.parametrize(
    "content",
    ["not toml", '[codes]\n"a" = "perhaps"\n', "[pauses]\na = 'b'\n", "[receipt]\nnew = 'a'\n",
     "[answers]\ntaken = 1\n", "[what]\na = 1\n"],
)  # fmt: skip
def test_a_malformed_table_stops_the_start(tmp_path: Path, content: str):
    (tmp_path / "aliyun.toml").write_text(content)
    values = replace(
        Settings(), sms_api_base="https://sms.example.cn", sms_provider="tencent", sms_tables=str(tmp_path)
    )

    assert "SMS_TABLES" in {name for _, name, _, _ in faults(values)}
    with pytest.raises(SettingsError, match="SMS_TABLES"):
        partners_from(values)
