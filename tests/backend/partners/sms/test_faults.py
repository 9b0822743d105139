"""Faults of the gateway's settings are named before it is started."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.partners.sms.faults import faults
from backend.settings import Settings

GOOD = replace(
    Settings(), sms_api_base="https://sms.example.cn", sms_secret_id="id", sms_secret_key="key",
    sms_app_id="1400000000", sms_sign_name="掌办", sms_push_token="q7Vx2mN9rT4kW8zB3cH6jL1pD5sF0gYa",
)  # fmt: skip


def found(**changes: Any) -> set[tuple[str, str]]:
    return {(weight, name) for weight, name, _, _ in faults(replace(GOOD, **changes))}


def test_nothing_is_said_of_good_settings_nor_of_none():
    assert found() == set()
    assert found(sms_provider="aliyun", sms_app_id="") == set()
    assert list(faults(Settings())) == []


@pytest.mark.parametrize(
    ("changes", "weight", "name"),
    [
        ({"sms_secret_id": ""}, "broken", "SMS_SECRET_ID"),
        ({"sms_secret_key": ""}, "broken", "SMS_SECRET_KEY"),
        ({"sms_app_id": ""}, "broken", "SMS_APP_ID"),
        ({"sms_sign_name": "", "sms_provider": "aliyun"}, "broken", "SMS_SIGN_NAME"),
        ({"sms_api_base": "http://sms.example.cn"}, "unsafe", "SMS_API_BASE"),
        ({"sms_push_token": ""}, "missing", "SMS_PUSH_TOKEN"),
        ({"sms_push_token": "guess"}, "unsafe", "SMS_PUSH_TOKEN"),
        ({"sms_push_networks": "10.0.0.0/8, moon"}, "broken", "SMS_PUSH_NETWORKS"),
    ],
)
def test_every_fault_has_its_name_and_weight(changes: dict[str, Any], weight: str, name: str):
    assert found(**changes) == {(weight, name)}
