"""The class of a device, derived from the User-Agents that WeChat sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.identity.devices import CLASSES, NAMES, device_class


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) MicroMessenger/8.0.50(0x1800323d)", "ios"),
        ("Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) MicroMessenger/8.0.40", "ios"),
        ("Mozilla/5.0 (Linux; Android 14; V2309A) MicroMessenger/8.0.49 MiniProgramEnv/android", "android"),
        ("Mozilla/5.0 (Phone; OpenHarmony 5.0) ArkWeb/4.1 MicroMessenger/8.0.5", "harmony"),
        ("Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0 MiniProgramEnv/Windows WindowsWechat", "windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) MacWechat/3.8 MicroMessenger/6.8", "mac"),
        ("Mozilla/5.0 (iPhone) wechatdevtools/1.06.2412050 MicroMessenger/8.0.5", "devtools"),
        ("python-httpx/0.28", "other"),
        ("", "other"),
    ],
)
def test_a_user_agent_names_its_class(user_agent: str, expected: str) -> None:
    assert device_class(user_agent) == expected


@given(st.text(max_size=2000))
def test_any_text_has_a_class_and_each_class_a_name(user_agent: str) -> None:
    assert device_class(user_agent) in CLASSES
    assert set(NAMES) == set(CLASSES)


def test_only_the_beginning_is_looked_at() -> None:
    assert device_class("x" * 600 + "iPhone") == "other"
