"""What is wrong with the settings of WeChat Pay is said before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.partners import partners_from
from backend.partners.wechat_pay.merchant import faults, merchant_from, sub_merchants
from backend.settings import Settings, SettingsError
from tests.backend.partners.wechat_pay.platform import (
    GO,
    JAVA,
    PUBLIC_KEY_ID,
    Platform,
    loaded,
    pem_of,
    public_pem_of,
    published,
)

PLATFORM = Platform()


def faulty_settings(**changes: Any) -> set[str]:
    """Names of the settings that are complained about."""
    return {fault.name for fault in faults(PLATFORM.settings(**changes))}


def test_nothing_is_said_of_good_settings_or_of_a_channel_that_is_off():
    assert faulty_settings() == set()
    assert list(faults(Settings())) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"wechat_pay_mchid": "mch"}, "WECHAT_PAY_MCHID"),
        ({"wechat_pay_appid": ""}, "WECHAT_PAY_APPID"),
        ({"wechat_pay_serial": ""}, "WECHAT_PAY_SERIAL"),
        ({"wechat_pay_serial": "not hexadecimal"}, "WECHAT_PAY_SERIAL"),
        ({"wechat_pay_api_v3_key": "short"}, "WECHAT_PAY_API_V3_KEY"),
        ({"wechat_pay_api_v3_key": "密" * 32}, "WECHAT_PAY_API_V3_KEY"),
        ({"wechat_pay_api_v3_key": "x" * 31 + " "}, "WECHAT_PAY_API_V3_KEY"),
        ({"wechat_pay_key": "rubbish"}, "WECHAT_PAY_KEY"),
        ({"wechat_pay_key": "", "wechat_pay_key_file": "/nowhere.pem"}, "WECHAT_PAY_KEY_FILE"),
        ({"wechat_pay_key_file": "/both.pem"}, "WECHAT_PAY_KEY"),
        ({"wechat_pay_public_key_id": "01", "wechat_pay_public_key": "x"}, "WECHAT_PAY_PUBLIC_KEY_ID"),
        ({"wechat_pay_public_key_id": "PUB_KEY_ID_01"}, "WECHAT_PAY_PUBLIC_KEY"),
        ({"wechat_pay_public_key": public_pem_of(PLATFORM.merchant_key)}, "WECHAT_PAY_PUBLIC_KEY_ID"),
        ({"wechat_pay_certificate_seconds": 43_201.0}, "WECHAT_PAY_CERTIFICATE_SECONDS"),
        ({"public_base": "http://zw.example.gov.cn"}, "PUBLIC_BASE"),
        ({"public_base": "https://zw.example.gov.cn/?a="}, "PUBLIC_BASE"),
        ({"public_base": "https://zw.example.gov.cn/" + "x" * 255}, "PUBLIC_BASE"),
        ({"wechat_pay_sub_merchants": "gongan"}, "WECHAT_PAY_SUB_MERCHANTS"),
        ({"wechat_pay_sub_merchants": "gongan=1900000200"}, "WECHAT_PAY_SUB_MERCHANTS"),
        ({"wechat_pay_serial": JAVA["merchant_serial"].lower()}, "WECHAT_PAY_SERIAL"),
        ({"wechat_pay_serial": GO["signing"]["serial"]}, "WECHAT_PAY_SERIAL"),
        ({"wechat_pay_api_v3_key": JAVA["api_v3_key"]}, "WECHAT_PAY_API_V3_KEY"),
        ({"wechat_pay_key": loaded(JAVA["pem"]["merchant_private_key"])}, "WECHAT_PAY_KEY"),
        ({"wechat_pay_key": loaded(GO["signing"]["test_key_pem"])}, "WECHAT_PAY_KEY"),
        (
            {
                "wechat_pay_public_key_id": PUBLIC_KEY_ID,
                "wechat_pay_public_key": JAVA["pem"]["wechat_pay_public_key"],
            },
            "WECHAT_PAY_PUBLIC_KEY",
        ),
    ],
)
def test_a_fault_names_its_setting_and_stops_the_start(changes: dict[str, Any], name: str):
    assert name in faulty_settings(**changes)
    with pytest.raises(SettingsError) as refused:
        partners_from(PLATFORM.settings(**changes))

    assert "PRIVATE KEY" not in str(refused.value)


def test_published_keys_are_good_enough_for_the_sandbox():
    assert list(faults(published())) == []
    assert {fault.name for fault in faults(published(sandbox=False))} >= {
        "WECHAT_PAY_SERIAL",
        "WECHAT_PAY_API_V3_KEY",
        "WECHAT_PAY_KEY",
        "WECHAT_PAY_PUBLIC_KEY",
    }


def test_a_key_may_lie_in_a_file_and_is_never_shown(tmp_path: Path):
    file = tmp_path / "apiclient_key.pem"
    file.write_text(pem_of(PLATFORM.merchant_key))

    merchant = merchant_from(PLATFORM.settings(wechat_pay_key="", wechat_pay_key_file=str(file)))

    assert merchant.key.private_numbers() == PLATFORM.merchant_key.private_numbers()
    assert repr(merchant) == "Merchant(1900000109)"


def test_sub_merchants_are_read_by_department():
    values = PLATFORM.settings(wechat_pay_mode="partner", wechat_pay_sub_merchants="gongan=1900000200, minzheng = 19,")

    assert sub_merchants(values) == {"gongan": "1900000200", "minzheng": "19"}
    assert partners_from(values).channels["wechat_pay"].sub_merchants == sub_merchants(values)


def test_a_channel_is_there_when_it_is_switched_on():
    assert dict(partners_from(Settings()).channels) == {}
    assert list(partners_from(PLATFORM.settings()).channels) == ["wechat_pay"]
