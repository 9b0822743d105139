"""docs/settings.md as it follows from the settings: `python -m tests.house.settings_page` writes it anew."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from backend.partner_settings import PartnerSettings
from backend.partner_settings.couriers import COURIERS
from backend.settings import DEVELOPMENT_SECRET, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
_SECTION = re.compile(r"^ *# -- (.+?) -+$")
_HEAD = """\
# Settings

Every value comes from the environment and is read once, when a process starts. Times are in seconds unless the name
says otherwise. `zhangban doctor` says which of them are missing or unsafe.
"""


def text() -> str:
    """The page."""
    return "\n".join([_HEAD.rstrip(), *_table(Settings), *_of_partners()]) + "\n"


def _table(kind: type) -> list[str]:
    source = textwrap.dedent(inspect.getsource(kind))
    body = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)).body
    sections = {n: found.group(1) for n, line in enumerate(source.splitlines(), 1) if (found := _SECTION.match(line))}
    lines: list[str] = []
    values = Settings()
    for field, docstring in itertools.pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if (title := next((sections.pop(n) for n in [*sections] if n < field.lineno), None)) is not None:
            lines += ["", f"## {title[0].upper()}{title[1:]}", "", "| Variable | Default | Meaning |", "|---|---|---|"]
        name = field.target.id
        lines.append(f"| `{name.upper()}` | {_shown(getattr(values, name))} | {_meaning(docstring)} |")
    return lines


def _of_partners() -> list[str]:
    """The settings shared by partners, those of each partner, and those of each courier."""
    own = [each for each in PartnerSettings.__bases__[::-1] if "SANDBOX_VALUES" in vars(sys.modules[each.__module__])]
    couriers = [each.settings for each in COURIERS.values()]
    return [line for kind in (PartnerSettings, *own, *couriers) for line in _table(kind)]


def _shown(value: Any) -> str:
    if value == DEVELOPMENT_SECRET:
        return "a development secret, refused in production"
    if value == "":
        return "empty"
    return f"`{json.dumps(value)}`" if isinstance(value, bool) else f"`{value}`"


def _meaning(docstring: ast.stmt) -> str:
    assert isinstance(docstring, ast.Expr), "every setting says what it is"
    assert isinstance(docstring.value, ast.Constant), "every setting says what it is"
    return " ".join(str(docstring.value.value).split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(text())
