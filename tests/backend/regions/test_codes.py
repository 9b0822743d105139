"""Region codes and unified social credit codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.regions.codes import (
    USCC_ALPHABET,
    check_uscc,
    region_level,
    uscc_check_digit,
)

LETTERS = st.sampled_from(USCC_ALPHABET)
BODIES = st.tuples(
    st.text(LETTERS, min_size=2, max_size=2),
    st.text(st.sampled_from("0123456789"), min_size=6, max_size=6),
    st.text(LETTERS, min_size=9, max_size=9),
).map("".join)
WHOLE = BODIES.map(lambda body: body + uscc_check_digit(body))

VALUES = {character: value for value, character in enumerate("0123456789ABCDEFGHJKLMNPQRTUWXY")}
"""GB 32100-2015, table of character values, written down again as the oracle."""


def is_uscc(code: str) -> bool:
    try:
        check_uscc(code)
    except ValueError:
        return False
    return True


def oracle(body: str) -> str:
    """The rule of the standard: weights are powers of three modulo 31, and 31 counts as 0."""
    total = sum(VALUES[character] * pow(3, place, 31) for place, character in enumerate(body))
    return "0123456789ABCDEFGHJKLMNPQRTUWXY"[(31 - total % 31) % 31]


@given(BODIES)
def test_the_check_digit_follows_the_standard(body: str):
    assert uscc_check_digit(body) == oracle(body)


@given(WHOLE)
def test_a_code_with_its_check_digit_is_accepted_in_small_letters_too(code: str):
    assert check_uscc(code) == code
    assert check_uscc(f" {code.lower()} ") == code


@given(WHOLE, st.integers(0, 17), LETTERS)
def test_no_single_wrong_character_gets_through(code: str, place: int, character: str):
    changed = code[:place] + character + code[place + 1 :]

    assert is_uscc(changed) == (changed == code)


@given(WHOLE, st.integers(0, 16))
def test_no_swap_of_neighbours_gets_through(code: str, place: int):
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]

    assert is_uscc(swapped) == (swapped == code)


@given(BODIES)
def test_reading_letters_by_their_distance_from_a_gives_other_digits(body: str):
    """The classic mistake: I O S V Z are skipped, so Y is 30 and not 34."""
    naive = sum((int(c) if c.isdigit() else ord(c) - 55) * pow(3, n, 31) for n, c in enumerate(body))
    skipping = any(character in "JKLMNPQRTUWXY" for character in body)

    assert skipping or "0123456789ABCDEFGHJKLMNPQRTUWXY"[(31 - naive % 31) % 31] == uscc_check_digit(body)


def test_a_sum_divisible_by_31_gives_the_check_digit_zero():
    assert uscc_check_digit("0" * 17) == "0"
    assert uscc_check_digit("Y" + "0" * 16) == "1"


@pytest.mark.parametrize("code", ["91110000600037341L", "12441500196720244T", "11990100009900013U"])
def test_known_codes_are_accepted(code: str):
    assert is_uscc(code)


def test_an_organisation_registered_by_the_agriculture_department_begins_with_n():
    body = "N2110113MEA000000"

    assert is_uscc(body + uscc_check_digit(body))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "18"),
        ("91110000600037341", "18"),
        ("91110000600037341LL", "18"),
        ("9111000060003734IL", "I、O"),
        ("91110000600037341O", "I、O"),
        ("9111000X600037341L", "不允许"),
        ("９1110000600037341L", "不允许"),
        ("91110000600037341M", "校验位"),
    ],
)
def test_a_bad_code_is_refused_with_its_reason(code: str, why: str):
    with pytest.raises(ValueError, match=why):
        check_uscc(code)


@pytest.mark.parametrize("body", ["", "1" * 16, "1" * 18, "I" + "1" * 16, "a" + "1" * 16])
def test_a_check_digit_is_made_of_seventeen_characters_of_the_alphabet_only(body: str):
    with pytest.raises(ValueError, match="17"):
        uscc_check_digit(body)


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("990000", "province"),
        ("990100", "city"),
        ("990121", "county"),
        ("990121100000", "town"),
        ("990121100201", "village"),
        ("810000", "province"),
    ],
)
def test_a_region_code_determines_its_level(code: str, level: str):
    assert region_level(code) == level


@pytest.mark.parametrize(
    "code", ["", "99", "090000", "9901211", "99012110000", "9901210000000", "99O121", "９９０１２１"]
)
def test_a_region_code_of_another_form_is_refused(code: str):
    with pytest.raises(ValueError, match="6 位"):
        region_level(code)


def test_a_county_is_not_written_with_twelve_digits():
    with pytest.raises(ValueError, match="6 位"):
        region_level("990121000000")
