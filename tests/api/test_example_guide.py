"""The guide that the documentation shows is one that may be published."""

from __future__ import annotations

import msgspec

from api.example_guide import CODE, GUIDE
from backend.catalogue import Guide, codes
from backend.catalogue.linting import lint


def test_the_guide_in_the_documentation_has_no_fault():
    assert lint(msgspec.convert(GUIDE, Guide)) == []


def test_the_code_in_the_documentation_passes_the_checker():
    assert codes.build(*codes.parse(CODE).__dict__.values()) == CODE
