"""The one code of a service item: 实施编码, 31 characters, and its variant of 33 for a single handling item.

    1244150019672024 4T   3      442199806003    01
    18 characters: USCC   level  basic code      handling item (33-character variant only)

The length of 31 and the 18 + 13 split are confirmed by real codes; that the 13 are one level and twelve of
basic code, and the two more characters of a 业务办理项, are inferred from published lists. So the composition
stands behind a port: a province that numbers otherwise registers another `CodeScheme` and names it in the
setting `item_code_scheme`. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from backend.catalogue.errors import ItemCodeInvalid
from backend.regions import check_uscc
from backend.settings import settings

LEVELS = {
    "1": "国家级",
    "2": "省级",
    "3": "市级",
    "4": "县级",
    "5": "乡镇级",
    "6": "村级",
}
"""行使层级: the level of government that exercises the power."""


@dataclass(frozen=True)
class CodeParts:
    """What a code is made of; `handling` is empty where the scheme has no such part."""

    department: str
    level: str
    basic: str
    handling: str = ""


class CodeScheme(Protocol):
    """How item codes are composed in one place. `build` and `parse` are each other's inverse."""

    @property
    def name(self) -> str:
        """What the setting calls it."""

    @property
    def length(self) -> int:
        """How many characters its codes have."""

    def build(self, parts: CodeParts) -> str:
        """The code. Raises ItemCodeInvalid, pointing to the part that cannot be."""

    def parse(self, code: str) -> CodeParts:
        """Its parts. Raises ItemCodeInvalid."""


@dataclass(frozen=True)
class FixedScheme:
    """USCC, level, basic code and, where `handling_length` is not 0, the number of the handling item."""

    name: str
    handling_length: int = 0
    basic_pattern: str = r"[0-9]{11}[0-9A-Z]"
    """Twelve characters. Published lists hold digits, and a capital in the last place for a parent item (…00Y)."""

    @property
    def length(self) -> int:
        return 31 + self.handling_length

    def build(self, parts: CodeParts) -> str:
        """The code. Raises ItemCodeInvalid, pointing to the part that cannot be."""
        try:
            department = check_uscc(parts.department)
        except ValueError as error:
            raise ItemCodeInvalid.at("/department", str(error)) from error
        if parts.level not in LEVELS:
            raise ItemCodeInvalid.at("/level", "行使层级应为 1 至 6")
        if not re.fullmatch(self.basic_pattern, parts.basic, re.ASCII):
            raise ItemCodeInvalid.at("/basic_code", "基本编码应为 12 位：11 位数字加 1 位数字或大写字母")
        if not re.fullmatch(rf"[0-9A-Z]{{{self.handling_length}}}", parts.handling, re.ASCII):
            raise ItemCodeInvalid.at("/handling", f"业务办理项编码应为 {self.handling_length} 位")
        return f"{department}{parts.level}{parts.basic}{parts.handling}"

    def parse(self, code: str) -> CodeParts:
        """Its parts. Raises ItemCodeInvalid."""
        if len(code) != self.length:
            raise ItemCodeInvalid.at("/code", f"事项编码应为 {self.length} 位")
        parts = CodeParts(code[:18], code[18], code[19:31], code[31:])
        if self.build(parts) != code:
            raise ItemCodeInvalid.at("/code", "事项编码的字母应为大写")
        return parts


SCHEMES: dict[str, CodeScheme] = {
    scheme.name: scheme for scheme in (FixedScheme("national-31"), FixedScheme("national-33", handling_length=2))
}
"""The schemes that may be named in the settings. Another region's rule is one more entry."""


def scheme() -> CodeScheme:
    """The scheme in force here."""
    return SCHEMES[settings().item_code_scheme]


def build(department: str, level: str, basic: str, handling: str = "") -> str:
    """The item's code by the scheme in force. Raises ItemCodeInvalid."""
    return scheme().build(CodeParts(department, level, basic, handling))


def parse_item_code(code: str) -> CodeParts:
    """The parts of an item's code by the scheme in force. Raises ItemCodeInvalid."""
    return scheme().parse(code)
