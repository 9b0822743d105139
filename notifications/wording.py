"""Fills values into templates and makes them fit: clean, short enough, still readable, never false.

A value is data, never a template: `{0.__class__}` in a name that a resident chose stays these very characters.
Shortening keeps the head and the distinctive tail (「企业职工基本养老保险…变更登记」) and never cuts through a number,
because half of a number is a different number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote
from uuid import UUID

from backend.partners.wechat.values import LIMITS, NAME_LIMIT_CHINESE, kind_of

ELLIPSIS = "…"
NOTHING_VISIBLE = "点开查看详情"
"""Stands for a text of which nothing can be shown."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# A number with its inner separators (2026-11-22, 15:04, 1,234.50), a Latin word, or one character with its marks.
_NUMBER = r"\d+(?:[.,:：/~\-－·]?\d+)*%?"
_TOKEN = re.compile(rf"{_NUMBER}|[A-Za-z]{{1,8}}|\s+|.[\u0300-\u036f\ufe00-\ufe0f\u200d]*", re.DOTALL)
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
_CLOSING = frozenset("）)】]》」』”")
_LOOSE_END = " 、，,；;：:（([【《「“-—·"


def placeholders(text: str) -> set[str]:
    """The names in braces in a template text."""
    return set(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced, each once: what a value contains is never looked at again.

    Raises KeyError when a value is missing.
    """
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], text)


def page(text: str, values: Mapping[str, str], message_id: UUID) -> str:
    """A page of the mini-program: values are quoted, and the message's id goes along as `message`, so that opening
    the page counts as reading it."""
    quoted = {name: quote(value, safe="") for name, value in {**values, "message": str(message_id)}.items()}
    return fill(text, quoted)


def clean(text: str) -> str:
    """One line of visible characters: no control characters, no line ends, nothing that turns the direction of
    writing, single spaces."""
    visible = (" " if _hidden(character) else character for character in unicodedata.normalize("NFC", text))
    return " ".join("".join(visible).split())


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE


def width(text: str) -> int:
    """How many characters WeChat counts: those outside the basic plane are two."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def shorten(text: str, room: int) -> str:
    """The text, at most `room` wide: head, ellipsis and tail, cut between words and never inside a number.

    What fits is returned as it is, so shortening twice changes nothing.
    """
    if width(text) <= room:
        return text
    if room < 1:
        return ""
    tokens = _TOKEN.findall(text)
    tail = _without_half_a_bracket(_taken(reversed(tokens), room // 3)[::-1])
    head = _taken(iter(tokens), room - 1 - sum(map(width, tail)))
    start, end = "".join(head).rstrip(_LOOSE_END), "".join(tail).strip()
    return f"{start}{ELLIPSIS}{end}"


def _without_half_a_bracket(tail: list[str]) -> list[str]:
    closing = [place for place, token in enumerate(tail) if token in _CLOSING]
    return tail[closing[-1] + 1 :] if closing and closing[-1] + 1 < len(tail) else tail


def _taken(tokens: Iterator[str], room: int) -> list[str]:
    taken: list[str] = []
    for token in tokens:
        if width(token) > room:
            break
        taken.append(token)
        room -= width(token)
    return taken


def short_number(number: str, room: int = 32) -> str:
    """A case number that fits: whole if it can, otherwise three dots and its last twelve characters, which are the
    day and the sequence; that is how a hall calls it, too."""
    return number if len(number) <= room else f"...{number[-12:]}"


def fit(key: str, text: str) -> str:
    """A value as WeChat accepts it for this key, as near to the text as its kind allows.

    Texts (`thing`, `name`) are shortened readably, a `phrase` keeps its first five Chinese characters; what can only
    be right or wrong (numbers, times, amounts) is never altered, so a wrong one is found by the check afterwards.
    """
    value, kind = clean(text), kind_of(key)
    if kind == "thing":
        short = shorten(value, LIMITS[kind])
        return short if short.strip(ELLIPSIS).strip() else NOTHING_VISIBLE
    if kind == "name":
        letters = "".join(character for character in value if not character.isdigit())
        short = shorten(letters, LIMITS[kind] if letters.isascii() else NAME_LIMIT_CHINESE)
        return short if short.strip(ELLIPSIS).strip() else NOTHING_VISIBLE
    if kind == "phrase":
        return "".join(re.findall(r"[\u4e00-\u9fff]", value))[: LIMITS[kind]]
    if kind == "character_string":
        return short_number(value)
    return value


def without_people(text: str) -> str:
    """The text with everything that looks like an id number or a phone number replaced by stars."""
    return _PERSONAL.sub("***", text)


_PERSONAL = re.compile(r"(?<![0-9A-Za-z])(?:\d{17}[\dXx]|\d{15}|(?:\+?86[- ]?)?1[3-9]\d{9})(?![0-9A-Za-z])")
