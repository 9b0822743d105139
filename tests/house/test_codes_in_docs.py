"""Problem codes that the documents show exist in the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from api.cli import COMMANDS
from tests.house import pages
from tests.house.reading import HOUSE

DOCUMENTS = sorted({*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")} - {HOUSE / "docs" / "settings.md"})
CODES = {kind.code for kind in pages.problem_classes()}
OTHERS = {
    "city-hall": "a seeded hall",
    "kept-until": "a part of an address",
    "missing-here": "a kind of difference",
    "missing-there": "a kind of difference",
    "not-counted": "a mark of a payment",
    "not-ready": "an outcome of a bill",
    "order-withdrawal": "a part of an address",
    "owed-to-payers": "an account of the ledger",
    "unknown-parcel": "an outcome of a tracking node",
    "unknown-serial": "a reason of a refused signature",
    "wechatpay-serial": "a header",
    "wrong-amount": "a cause of a refund",
}
"""Words of the same form in the documents that are no problem codes, and what they are."""
SHOWN = (
    r'"code": ?"([a-z-]+)"',  # a problem document
    r"/problems#([a-z-]+)",  # its type
    r"\b[45]\d\d `([a-z-]+)`",  # a status with its code
    r"`([a-z]+(?:-[a-z]+)+)`",  # any word of this form
)


def shown(text: str) -> Iterator[str]:
    """Everything in the text that is written as problem codes are."""
    for pattern in SHOWN:
        yield from re.findall(pattern, text)


def strange(documents: list[Path]) -> list[str]:
    """What the documents show as codes and no class derives."""
    known = CODES | COMMANDS.keys() | OTHERS.keys()
    return [
        f"{path.name}: {each}" for path in documents for each in shown(path.read_text("utf-8")) if each not in known
    ]


def test_documents_show_problem_codes_that_exist():
    assert strange(DOCUMENTS) == []


def test_a_code_that_does_not_exist_is_found_in_each_form(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text('`no-such-code`, 409 `nosuch`, `{"code": "not-such"}`, /v1/public/problems#never-such')

    assert len(strange([page])) == 4


def test_words_that_are_no_codes_are_listed_only_while_documents_use_them():
    used = {each for path in DOCUMENTS for each in shown(path.read_text("utf-8"))}

    assert OTHERS.keys() - used - CODES == set()
