"""The one code of an item: 31 characters, 33 where handling items have codes of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.catalogue import codes
from backend.catalogue.codes import LEVELS, SCHEMES, CodeParts, FixedScheme
from backend.catalogue.errors import ItemCodeInvalid
from backend.regions.codes import USCC_ALPHABET, uscc_check_digit
from backend.settings import using

BASIC = st.from_regex(r"[0-9]{11}[0-9A-Z]", fullmatch=True)
USCC = (
    st.tuples(
        st.sampled_from(["11", "12", "N2", "54"]),
        st.from_regex(r"[0-9]{6}", fullmatch=True),
        st.text(st.sampled_from(USCC_ALPHABET), min_size=9, max_size=9),
    )
    .map("".join)
    .map(lambda body: body + uscc_check_digit(body))
)
REAL = "12441500196720244T3442199806003"
"""The code of a real item, seen at the head of a case number."""


@given(USCC, st.sampled_from(sorted(LEVELS)), BASIC)
def test_a_code_of_31_is_read_back_as_it_was_built(uscc: str, level: str, basic: str):
    code = codes.build(uscc, level, basic)

    assert len(code) == 31
    assert codes.parse_item_code(code) == CodeParts(uscc, level, basic)


@given(USCC, st.sampled_from(sorted(LEVELS)), BASIC, st.from_regex(r"[0-9A-Z]{2}", fullmatch=True))
def test_a_code_of_33_is_read_back_as_it_was_built(uscc: str, level: str, basic: str, handling: str):
    with using(item_code_scheme="national-33"):
        code = codes.build(uscc, level, basic, handling)

        assert len(code) == 33
        assert codes.parse_item_code(code) == CodeParts(uscc, level, basic, handling)


@given(st.text(max_size=40))
def test_everything_that_is_given_as_a_code_is_read_or_refused(text: str):
    try:
        parts = codes.parse_item_code(text)
    except ItemCodeInvalid:
        return

    assert codes.build(parts.department, parts.level, parts.basic) == text


@given(USCC, BASIC, st.integers(0, 17), st.sampled_from(USCC_ALPHABET))
def test_a_slip_in_the_department_is_noticed(uscc: str, basic: str, place: int, character: str):
    code = codes.build(uscc, "3", basic)
    changed = code[:place] + character + code[place + 1 :]

    if changed != code:
        with pytest.raises(ItemCodeInvalid):
            codes.parse_item_code(changed)


def test_a_real_code_is_read():
    assert codes.parse_item_code(REAL) == CodeParts("12441500196720244T", "3", "442199806003")


def test_a_parent_item_may_end_in_a_letter():
    assert codes.parse_item_code(REAL[:19] + "00013112700Y").basic == "00013112700Y"


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        (("12441500196720244U", "3", "442199806003", ""), "/department"),
        (("1244150019672024IT", "3", "442199806003", ""), "/department"),
        (("12441500196720244T", "7", "442199806003", ""), "/level"),
        (("12441500196720244T", "0", "442199806003", ""), "/level"),
        (("12441500196720244T", "3", "44219980600", ""), "/basic_code"),
        (("12441500196720244T", "3", "4421998A6003", ""), "/basic_code"),
        (("12441500196720244T", "3", "44219980600y", ""), "/basic_code"),
        (("12441500196720244T", "3", "442199806003\n", ""), "/basic_code"),
        (("12441500196720244T", "3", "４42199806003", ""), "/basic_code"),
        (("12441500196720244T", "3", "442199806003", "01"), "/handling"),
    ],
)
def test_a_part_that_cannot_be_is_pointed_to(parts: tuple[str, str, str, str], pointer: str):
    with pytest.raises(ItemCodeInvalid) as refused:
        codes.build(*parts)

    assert [fault.pointer for fault in refused.value.fields] == [pointer]


@pytest.mark.parametrize("code", ["", REAL[:-1], REAL + "0", REAL.lower()])
def test_a_code_of_another_form_is_refused(code: str):
    with pytest.raises(ItemCodeInvalid):
        codes.parse_item_code(code)


def test_another_region_brings_its_own_scheme(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(SCHEMES, "sample", FixedScheme("sample", basic_pattern="[A-Z]{12}"))

    with using(item_code_scheme="sample"):
        assert codes.parse_item_code(codes.build("12441500196720244T", "3", "A" * 12)).basic == "A" * 12


def test_schemes_are_found_under_their_own_names():
    assert {name: scheme.length for name, scheme in SCHEMES.items()} == {"national-31": 31, "national-33": 33}
    assert all(scheme.name == name for name, scheme in SCHEMES.items())
