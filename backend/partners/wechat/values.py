"""What WeChat accepts as the value of a template key, by the kind that the key's name begins with.

Source: the platform's documentation of subscribeMessage.send, table of parameter kinds. A
value that breaks a limit is refused with 47003, so it is checked before sending and when a template is
loaded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

LIMITS: dict[str, int] = {
    "thing": 20,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "character_string": 32,
    "phone_number": 17,
    "car_number": 8,
    "phrase": 5,
    "name": 20,
}
"""Longest value in characters, for the kinds whose limit is a length (a Chinese name:
`NAME_LIMIT_CHINESE`)."""
NAME_LIMIT_CHINESE = 10
AMOUNT_DIGITS = 10

_KEY = re.compile(r"([a-z_]+?)(\d{1,3})", re.ASCII)
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"


def _day(side: str) -> str:
    """A day (or a month of a year) as WeChat writes it; `side` names the separator, which stays the same
    inside."""
    return (
        rf"(?:\d{{4}}年{_MONTH}月(?:{_DAY}日)?|{_MONTH}月{_DAY}日"
        rf"|\d{{4}}(?P<{side}>[-/.]){_MONTH}(?:(?P={side}){_DAY})?)"
    )


def _from_to(one: Callable[[str], str]) -> re.Pattern[str]:
    """One of them, or two with a tilde between."""
    return re.compile(rf"{one('first')}(?:\s?~\s?{one('second')})?", re.ASCII)


_DATE = _from_to(lambda side: rf"{_day(side)}(?:\s?{_CLOCK})?")
_TIME = _from_to(lambda side: rf"(?:{_day(side)}\s?)?{_CLOCK}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_AMOUNT = re.compile(r"[^\d\s.\-+\w]?(\d+)(?:\.(\d+))?元?", re.ASCII)
_PHONE = re.compile(r"[\d+\-() *#]+", re.ASCII)
_CAR = re.compile(rf"[{_CHINESE}A-Za-z0-9][A-Za-z0-9]*[{_CHINESE}A-Za-z0-9]")
_CHINESE_ONLY = re.compile(rf"[{_CHINESE}]+")
_LETTERS = re.compile(r"[A-Za-z]+")


def kind_of(key: str) -> str | None:
    """The kind that a key such as `thing1` or `character_string02` belongs to; None when WeChat knows no
    such kind."""
    found = _KEY.fullmatch(key)
    return found.group(1) if found and found.group(1) in _CHECKS else None


def check_value(key: str, value: str, *, choices: tuple[str, ...] | None = None) -> str | None:
    """What is wrong with the value, as a short English phrase for operators; None when WeChat will take it.

    `choices` are the allowed values of an `enum` key, from the template; without them any text is let
    through.
    """
    kind = kind_of(key)
    if kind is None:
        return "the key is of no kind that WeChat knows"
    if not value.strip():
        return "is empty"
    if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in value):
        return "holds a control character or a line break"
    if kind == "enum":
        return "is not one of the template's choices" if choices is not None and value not in choices else None
    return _CHECKS[kind](value)


def _within(kind: str, value: str) -> str | None:
    limit = LIMITS[kind]
    return f"is longer than {limit} characters" if len(value) > limit else None


def _thing(value: str) -> str | None:
    return _within("thing", value)


def _number(value: str) -> str | None:
    if not _NUMBER.fullmatch(value):
        return "is not a number"
    return _within("number", value)


def _letter(value: str) -> str | None:
    return _within("letter", value) if _LETTERS.fullmatch(value) else "holds something else than letters"


def _symbol(value: str) -> str | None:
    if any(c.isalnum() or c.isspace() for c in value):
        return "holds something else than symbols"
    return _within("symbol", value)


def _character_string(value: str) -> str | None:
    if any(not " " <= c <= "~" for c in value):
        return "holds something else than digits, letters and symbols"
    return _within("character_string", value)


def _time(value: str) -> str | None:
    return None if _TIME.fullmatch(value) else "is not a time such as 09:30 or 2026年1月2日 09:30"


def _date(value: str) -> str | None:
    return None if _DATE.fullmatch(value) else "is not a date such as 2026年1月2日"


def _amount(value: str) -> str | None:
    found = _AMOUNT.fullmatch(value)
    if not found:
        return "is not an amount such as ¥12.50 or 12元"
    if len(found.group(1)) + len(found.group(2) or "") > AMOUNT_DIGITS:
        return f"has more than {AMOUNT_DIGITS} digits"
    return None


def _phone_number(value: str) -> str | None:
    return _within("phone_number", value) if _PHONE.fullmatch(value) else "is not a phone number"


def _car_number(value: str) -> str | None:
    return _within("car_number", value) if _CAR.fullmatch(value) else "is not a number plate"


def _name(value: str) -> str | None:
    if any(c.isdigit() for c in value):
        return "holds a digit"
    limit = NAME_LIMIT_CHINESE if any(ord(c) > 0x7F for c in value) else LIMITS["name"]
    return f"is longer than {limit} characters" if len(value) > limit else None


def _phrase(value: str) -> str | None:
    return (
        _within("phrase", value) if _CHINESE_ONLY.fullmatch(value) else "holds something else than Chinese characters"
    )


def _enum(value: str) -> str | None:
    return None


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "thing": _thing,
    "number": _number,
    "letter": _letter,
    "symbol": _symbol,
    "character_string": _character_string,
    "time": _time,
    "date": _date,
    "amount": _amount,
    "phone_number": _phone_number,
    "car_number": _car_number,
    "name": _name,
    "phrase": _phrase,
    "enum": _enum,
}
