"""Amounts in capital numerals: the official examples, and every amount can be read back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend.payments.chinese_amounts import LARGEST, chinese_amount

DIGITS = {word: value for value, word in enumerate("零壹贰叁肆伍陆柒捌玖")}
UNITS = {"拾": 10, "佰": 100, "仟": 1000}


def read(words: str) -> int:
    """The amount in fen, read as a person reads it: another way than the one in which it was written."""
    words = words.removeprefix("人民币").removesuffix("整")
    yuan_words, found, fen_words = words.partition("元")
    if not found:
        yuan_words, fen_words = "", words
    fen, digit = 0, 0
    for each in fen_words:
        if each in DIGITS:
            digit = DIGITS[each]
        else:
            fen += digit * {"角": 10, "分": 1}[each]
    return whole(yuan_words) * 100 + fen


def whole(words: str) -> int:
    for unit, value in (("亿", 10**8), ("万", 10**4)):
        if unit in words:
            before, _, behind = words.rpartition(unit)
            return whole(before) * value + whole(behind)
    total, digit = 0, 0
    for each in words:
        if each in DIGITS:
            digit = DIGITS[each]
        else:
            total, digit = total + digit * UNITS[each], 0
    return total + digit


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        (0, "人民币零元整"), (1, "人民币壹分"), (10, "人民币壹角整"), (15, "人民币壹角伍分"),
        (100, "人民币壹元整"), (2000, "人民币贰拾元整"), (105, "人民币壹元零伍分"),
        (140_950, "人民币壹仟肆佰零玖元伍角整"), (600_714, "人民币陆仟零柒元壹角肆分"),
        (168_032, "人民币壹仟陆佰捌拾元叁角贰分"), (1_640_902, "人民币壹万陆仟肆佰零玖元零贰分"),
        (32_504, "人民币叁佰贰拾伍元零肆分"), (10_700_053, "人民币壹拾万柒仟元伍角叁分"),
        (1_000_000_00, "人民币壹佰万元整"), (100_000_000_00, "人民币壹亿元整"), (100_000_001_00, "人民币壹亿零壹元整"),
        (1_0000_0000_0000_00, "人民币壹万亿元整"),
    ],
)  # fmt: skip
def test_amounts_are_written_as_banks_write_them(fen: int, words: str):
    assert chinese_amount(fen) == words


@given(st.integers(0, LARGEST))
@example(LARGEST)
@example(1_0000_0000_0001_00)
@example(1_0001_0000_0000_00)
def test_every_amount_can_be_read_back(fen: int):
    words = chinese_amount(fen)

    assert read(words) == fen
    assert "零零" not in words
    assert "零元" not in words or fen == 0
    assert words.endswith(("整", "分"))


@given(st.integers(0, 10**9))
def test_two_amounts_never_read_the_same(fen: int):
    assert chinese_amount(fen) != chinese_amount(fen + 1)


@pytest.mark.parametrize("fen", [-1, LARGEST + 1])
def test_what_no_receipt_can_show_is_refused(fen: int):
    with pytest.raises(ValueError, match="capitals"):
        chinese_amount(fen)
