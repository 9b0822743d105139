"""Who a case is for: checked by the rules of the documents, sealed, found again."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases import Applicant, IdKind, mask_applicant
from backend.cases.applicants import (
    check_applicant,
    is_resident_id,
    normalise_id_number,
    normalise_phone,
    normalise_tail,
    open_applicant,
    seal_applicant,
    tail_matches,
    without_id_numbers,
)
from backend.cases.errors import CaseInvalid
from backend.crypto import fingerprint
from tests.factories.cases import ID_NUMBER, PHONE

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def with_check_digit(seventeen: str) -> str:
    """GB 11643 by its own formula."""
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, seventeen, strict=True))
    return seventeen + "10X98765432"[total % 11]


birthdays = st.dates().filter(lambda day: 1850 <= day.year <= 2100).map(lambda day: f"{day:%Y%m%d}")
prefixes = st.integers(110000, 839999).map(str)
numbers = st.builds(
    lambda prefix, born, order: with_check_digit(f"{prefix}{born}{order:03d}"), prefixes, birthdays, st.integers(0, 999)
)


@given(numbers)
def test_every_number_with_a_real_birthday_and_its_check_digit_is_good(number: str):
    assert is_resident_id(number)
    assert normalise_id_number(f" {number.lower()} ", IdKind.RESIDENT_ID) == number


@given(numbers, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_wrong_character_is_always_found(number: str, where: int, wrong: str):
    changed = number[:where] + wrong + number[where + 1 :]

    assert is_resident_id(changed) is (changed == number)


@pytest.mark.parametrize("prefix", ["810000", "820000", "830000", "510229", "999999"])
def test_places_that_no_longer_exist_and_residence_permits_are_good(prefix: str):
    assert is_resident_id(with_check_digit(prefix + "19720229001"))


@pytest.mark.parametrize("born", ["20230229", "20231301", "19000001", "17991231"])
def test_a_birthday_that_never_was_is_refused(born: str):
    assert not is_resident_id(with_check_digit(f"110105{born}001"))


def test_the_old_fifteen_digits_are_the_same_person():
    assert normalise_id_number("110105491231002", IdKind.RESIDENT_ID) == ID_NUMBER


def test_full_width_digits_and_spaces_are_the_same_number():
    assert normalise_id_number("１１０１０５ 19491231 002ｘ", IdKind.RESIDENT_ID) == ID_NUMBER


@pytest.mark.parametrize(
    "written,one",
    [
        ("138 0013 8000", PHONE),
        ("+86 138-0013-8000", PHONE),
        ("008613800138000", PHONE),
        ("１３８００１３８０００", PHONE),
        ("+852 9123 4567", "+85291234567"),
        ("0085291234567", "+85291234567"),
    ],
)
def test_phones_have_one_spelling(written: str, one: str):
    assert normalise_phone(written) == one


@pytest.mark.parametrize("wrong", ["", "12345678901", "1380013800", "138001380000", "+8612800138000", "十三八", "+"])
def test_what_is_no_phone_is_refused(wrong: str):
    with pytest.raises(ValueError, match="手机号码"):
        normalise_phone(wrong)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(CaseInvalid) as refused:
        check_applicant("张三", IdKind.RESIDENT_ID, "123", "456")

    assert [fault.pointer for fault in refused.value.fields] == ["/applicant/id_number", "/applicant/phone"]


def test_an_applicant_can_be_found_by_something():
    with pytest.raises(CaseInvalid) as refused:
        check_applicant("张三", IdKind.RESIDENT_ID, None, None)

    assert [fault.pointer for fault in refused.value.fields] == ["/applicant"]


def test_firms_and_foreigners_have_documents_of_their_own():
    assert check_applicant("某公司", IdKind.USCC, "91350211m000100y46", None).id_number == "91350211M000100Y46"
    assert check_applicant("J. Doe", IdKind.OTHER, "e1234567", None).id_number == "E1234567"
    for kind, wrong in ((IdKind.USCC, "91350211M000100Y44"), (IdKind.OTHER, "护照一"), (IdKind.OTHER, "1" * 33)):
        with pytest.raises(CaseInvalid):
            check_applicant(None, kind, wrong, None)


def test_sealed_for_one_row_and_opened_there_only():
    row, applicant = uuid4(), Applicant("张三丰", IdKind.RESIDENT_ID, ID_NUMBER, PHONE)

    columns = seal_applicant(applicant, case_id=row, number="N1")

    assert open_applicant(columns, case_id=row) == applicant
    with pytest.raises(Exception, match="changed or moved"):
        open_applicant(columns, case_id=uuid4())
    assert columns.applicant_phone_fingerprint == fingerprint(PHONE, "phone")


def test_equal_tails_of_two_cases_do_not_show():
    applicant = Applicant(None, IdKind.RESIDENT_ID, ID_NUMBER, None)

    one, other = (seal_applicant(applicant, case_id=uuid4(), number=number) for number in ("N1", "N2"))

    assert one.applicant_id_tail_fingerprint != other.applicant_id_tail_fingerprint
    assert one.applicant_id_fingerprint == other.applicant_id_fingerprint


def test_a_tail_belongs_to_its_case():
    columns = seal_applicant(Applicant(None, IdKind.RESIDENT_ID, ID_NUMBER, None), case_id=uuid4(), number="N1")
    stored = columns.applicant_id_tail_fingerprint

    assert tail_matches("N1", normalise_tail("００2x"), stored)
    assert not tail_matches("N1", "0020", stored)
    assert not tail_matches("N2", "002X", stored)
    assert not tail_matches("N1", "002X", None)


@pytest.mark.parametrize("wrong", ["", "123", "12345", "12 3", "一二三四"])
def test_four_characters_are_four(wrong: str):
    with pytest.raises(ValueError, match="后四位"):
        normalise_tail(wrong)


def test_what_is_shown_is_masked():
    shown = mask_applicant(Applicant("张三丰", IdKind.RESIDENT_ID, ID_NUMBER, PHONE))

    assert (shown.name, shown.id_number, shown.phone) == ("张**", "1****************X", "138****8000")


@given(st.text(alphabet="0123456789Xx张，", max_size=30), numbers)
def test_no_identity_number_survives_in_a_text(around: str, number: str):
    text = without_id_numbers(f"{around}，{number}。{number.lower()}")

    assert number not in text.upper()
    assert len(text) == len(around) + len(number) * 2 + 2


def test_codes_that_only_look_like_identity_numbers_stay():
    for text in ("12441500196720244T3442199806003202603020001", "电话13800138000", "110105194912310021"):
        assert without_id_numbers(text) == text
