"""Who a case is for: what an agency says about the applicant, checked, sealed and made findable.

Identity numbers are checked by their own rule and not by place of birth: codes of counties that no longer exist stay
good. The old fifteen digits are the same person as the eighteen, so they are kept as eighteen.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from backend import crypto
from backend.cases.errors import CaseInvalid
from backend.errors import Fault
from backend.regions import check_uscc

_MAINLAND_PHONE = re.compile(r"(?:\+?86|0086)?(1[3-9]\d{9})", re.ASCII)
_FOREIGN_PHONE = re.compile(r"(?:\+|00)([1-9]\d{6,14})", re.ASCII)
_OTHER_DOCUMENT = re.compile(r"[0-9A-Z()/]{4,32}", re.ASCII)
_TAIL = re.compile(r"[0-9A-Z]{4}", re.ASCII)
# Eighteen characters that may be an identity number, half or full width, not part of a longer code.
_ID_IN_TEXT = re.compile(r"(?<![0-9A-Za-z０-９])[0-9０-９]{17}[0-9０-９XxＸｘ](?![0-9A-Za-z０-９])")


class IdKind(StrEnum):
    """Which document an identity number is of."""

    RESIDENT_ID = "resident_id"
    USCC = "uscc"
    OTHER = "other"


class Applicant(Struct, frozen=True):
    """Who a case is for, checked: phone as eleven digits or +country…, identity number in capitals."""

    name: str | None = None
    id_kind: IdKind | None = None
    id_number: str | None = None
    phone: str | None = None


class SealedApplicant(Struct, frozen=True):
    """The columns of a case that hold the applicant."""

    applicant_name: str | None
    applicant_id_kind: str | None
    applicant_id_number: str | None
    applicant_id_fingerprint: str | None
    applicant_id_tail_fingerprint: str | None
    applicant_phone: str | None
    applicant_phone_fingerprint: str | None


def check_applicant(name: str | None, id_kind: IdKind, id_number: str | None, phone: str | None) -> Applicant:
    """What an agency says about the applicant, in one spelling.

    Raises CaseInvalid pointing to each fault; an applicant needs an identity number or a phone number.
    """
    faults: list[Fault] = []
    number = _checked(id_number, lambda text: normalise_id_number(text, id_kind), "/applicant/id_number", faults)
    telephone = _checked(phone, normalise_phone, "/applicant/phone", faults)
    if id_number is None and phone is None:
        faults.append(Fault("/applicant", "证件号码和手机号码至少填写一项"))
    if faults:
        raise CaseInvalid(fields=faults)
    return Applicant(name.strip() or None if name else None, id_kind if number else None, number, telephone)


def _checked(text: str | None, check: object, pointer: str, faults: list[Fault]) -> str | None:
    if text is None:
        return None
    try:
        return check(text)  # type: ignore[operator, no-any-return]
    except ValueError as error:
        faults.append(Fault(pointer, str(error)))
        return None


def normalise_id_number(text: str, kind: IdKind) -> str:
    """An identity number in one spelling. Raises ValueError with a Chinese sentence."""
    number = crypto.normalised(text)
    if kind is IdKind.USCC:
        return check_uscc(number)
    if kind is IdKind.OTHER:
        if not _OTHER_DOCUMENT.fullmatch(number):
            raise ValueError("证件号码应为 4 至 32 位字母或数字")
        return number
    if len(number) == 15 and number.isascii() and number.isdigit():
        longer = f"{number[:6]}19{number[6:]}"
        number = longer + ric.calc_check_digit(longer + "0")
    if not is_resident_id(number):
        raise ValueError("身份证号码有误，请核对位数、出生日期和校验位")
    return number


def is_resident_id(number: str) -> bool:
    """Whether eighteen characters are an identity number by GB 11643: digits, a real birthday, the check digit.

    The place is not asked: prefixes of the past and 81/82/83 are good.
    """
    if len(number) != 18 or not (number[:17].isascii() and number[:17].isdigit()):
        return False
    try:
        born = ric.get_birth_date(number)
    except (ValidationError, ValueError):
        return False
    return 1850 <= born.year <= 2100 and number[17].upper() == ric.calc_check_digit(number)


def normalise_phone(text: str) -> str:
    """A phone number in one spelling: eleven digits, or + and country for others. Raises ValueError in Chinese."""
    number = crypto.normalised(text)
    if found := _MAINLAND_PHONE.fullmatch(number):
        return found[1]
    if (found := _FOREIGN_PHONE.fullmatch(number)) and not found[1].startswith("86"):
        return f"+{found[1]}"
    raise ValueError("手机号码有误，请核对")


def seal_applicant(applicant: Applicant, *, case_id: UUID, number: str) -> SealedApplicant:
    """The applicant as the case keeps it: sealed for this row, with fingerprints to find it by."""

    def seal(text: str | None, column: str) -> str | None:
        return crypto.seal(text, where=f"cases.{column}", row=case_id) if text else None

    identity, phone = applicant.id_number, applicant.phone
    return SealedApplicant(
        applicant_name=seal(applicant.name, "applicant_name"),
        applicant_id_kind=applicant.id_kind,
        applicant_id_number=seal(identity, "applicant_id_number"),
        applicant_id_fingerprint=crypto.fingerprint(identity, "id-number") if identity else None,
        applicant_id_tail_fingerprint=tail_fingerprint(number, identity) if identity else None,
        applicant_phone=seal(phone, "applicant_phone"),
        applicant_phone_fingerprint=crypto.fingerprint(phone, "phone") if phone else None,
    )


def open_applicant(columns: SealedApplicant, *, case_id: UUID) -> Applicant:
    """The applicant of a case in clear. Raises crypto.SealBroken."""

    def unseal(text: str | None, column: str) -> str | None:
        return crypto.open_sealed(text, where=f"cases.{column}", row=case_id) if text else None

    return Applicant(
        unseal(columns.applicant_name, "applicant_name"),
        IdKind(columns.applicant_id_kind) if columns.applicant_id_kind else None,
        unseal(columns.applicant_id_number, "applicant_id_number"),
        unseal(columns.applicant_phone, "applicant_phone"),
    )


def mask_applicant(applicant: Applicant) -> Applicant:
    """The applicant as an agency or a resident reads it."""
    return Applicant(
        crypto.mask_name(applicant.name) if applicant.name else None,
        applicant.id_kind,
        crypto.mask_id_number(applicant.id_number) if applicant.id_number else None,
        crypto.mask_phone(applicant.phone) if applicant.phone else None,
    )


# -- the last four characters, for looking a case up without signing in ---------------------------------


def normalise_tail(text: str) -> str:
    """The last four characters of an identity document in one spelling. Raises ValueError in Chinese."""
    tail = crypto.normalised(text)
    if not _TAIL.fullmatch(tail):
        raise ValueError("请填写证件号码的后四位")
    return tail


def tail_fingerprint(number: str, id_number: str) -> str:
    """The fingerprint of a case's number with the last four characters of the identity document."""
    return crypto.fingerprint(f"{number}:{id_number[-4:]}", "id-tail")


def tail_matches(number: str, tail: str, stored: str | None) -> bool:
    """Whether the four characters belong to the case; takes the same time whether they do, and whether there is one."""
    return _among(crypto.fingerprints(f"{number}:{tail}", "id-tail"), stored or "-")


def _among(candidates: Iterable[str], stored: str) -> bool:
    found = False
    for candidate in candidates:
        found |= hmac.compare_digest(candidate, stored)
    return found


def without_id_numbers(text: str) -> str:
    """Text with every identity number in it masked: departments paste them into remarks."""

    def hidden(found: re.Match[str]) -> str:
        number = crypto.normalised(found[0])
        return crypto.mask_id_number(number) if is_resident_id(number) else found[0]

    return _ID_IN_TEXT.sub(hidden, text)
