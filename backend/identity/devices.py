"""The kind of device a request comes from, derived from its User-Agent.

It is a rough class on purpose: it changes when a token wanders from a phone to a script, and not when the phone
is updated.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

DeviceClass = Literal["ios", "android", "harmony", "windows", "mac", "devtools", "other"]

CLASSES: tuple[DeviceClass, ...] = get_args(DeviceClass)
"""Every class there is."""

# The first that matches decides: HarmonyOS and the developer tools name older systems besides themselves.
_MARKS: tuple[tuple[DeviceClass, re.Pattern[str]], ...] = (
    ("devtools", re.compile(r"wechatdevtools", re.IGNORECASE)),
    ("harmony", re.compile(r"harmony|arkweb", re.IGNORECASE)),
    ("windows", re.compile(r"windows", re.IGNORECASE)),
    ("ios", re.compile(r"iphone|ipad|ipod", re.IGNORECASE)),
    ("mac", re.compile(r"macwechat|macintosh|mac os x", re.IGNORECASE)),
    ("android", re.compile(r"android", re.IGNORECASE)),
)
_LONGEST = 512

NAMES: dict[DeviceClass, str] = {
    "ios": "苹果手机或平板",
    "android": "安卓手机或平板",
    "harmony": "鸿蒙设备",
    "windows": "Windows 电脑",
    "mac": "苹果电脑",
    "devtools": "微信开发者工具",
    "other": "其他设备",
}
"""What a resident reads in the list of sessions."""


def device_class(user_agent: str) -> DeviceClass:
    """The class of device that this User-Agent names; `other` when it names none that we know."""
    head = user_agent[:_LONGEST]
    return next((name for name, mark in _MARKS if mark.search(head)), "other")
