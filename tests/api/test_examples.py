"""The guide that the documentation shows is one that may be published."""

from __future__ import annotations

from typing import Any

import msgspec

from api.openapi import examples
from backend.catalogue import Guide, codes
from backend.catalogue.linting import lint

EDITED: dict[str, Any] = examples()["editVersion"]


def test_the_guide_in_the_documentation_has_no_fault():
    assert lint(msgspec.convert(EDITED["request"]["guide"], Guide)) == []


def test_the_code_in_the_documentation_passes_the_checker():
    code = EDITED["response"]["code"]

    assert codes.build(*codes.parse_item_code(code).__dict__.values()) == code
