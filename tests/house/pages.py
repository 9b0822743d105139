"""The two pages of docs/ that are written by a program: `python -m tests.house.pages` writes them anew."""

from __future__ import annotations

from pathlib import Path

import msgspec

from api.app import build
from backend import errors, events
from backend.errors import DomainError
from backend.events import Event
from notifications.rules import RULES, NoNotification

DOCS = Path(__file__).resolve().parents[2] / "docs"


def sentence(kind: type) -> str:
    """The first sentence of the docstring."""
    return (kind.__doc__ or "").strip().split("\n")[0]


def problem_classes() -> list[type[DomainError]]:
    """Every domain error of the product."""
    build()
    return [kind for kind in errors.catalogue() if not kind.__module__.startswith("tests")]


def facts() -> dict[str, type[Event]]:
    """Every kind of event of the product, by name."""
    build()
    return {name: kind for name, kind in sorted(events.kinds().items()) if not kind.__module__.startswith("tests")}


def problems() -> str:
    """docs/problems.md"""
    lines = [
        "# Problems",
        "",
        "Every code that an answer can carry; the service lists the same at `GET /v1/public/problems`. How problem",
        "documents look and what to do about each status is in [api-manners.md](api-manners.md).",
        "Written by `tests/house/pages.py`.",
        "",
        "| Code | Status | Title | Retry | Meaning |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{kind.code}` | {kind.status} | {kind.title} | {'yes' if kind.retryable else ''} | {sentence(kind)} |"
        for kind in problem_classes()
    ]
    if errors.RETIRED_CODES:
        lines += ["", "Retired, and never used again:", ""]
        lines += [f"- `{code}`, last answered by release {release}" for code, release in errors.RETIRED_CODES.items()]
    return "\n".join(lines) + "\n"


def messages_of(kind: type[Event]) -> str:
    """Which messages residents get, or why none."""
    rule = RULES[kind]
    if isinstance(rule, NoNotification):
        return f"none: {rule.reason}"
    return ", ".join(f"`{name}`" for name in sorted(set(rule.names)))


def ledger() -> str:
    """docs/events.md"""
    lines = [
        "# Events",
        "",
        "Every fact that the ledger can hold. Fields are ids and codes, never personal data.",
        "Written by `tests/house/pages.py`.",
        "",
        "| Name | What happened | Subject | Further fields | Messages to residents |",
        "|---|---|---|---|---|",
    ]
    for name, kind in facts().items():
        fields = [f"`{each.name}`" for each in msgspec.structs.fields(kind) if each.name != kind.about]
        lines.append(f"| `{name}` | {sentence(kind)} | `{kind.about}` | {', '.join(fields)} | {messages_of(kind)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (DOCS / "problems.md").write_text(problems(), encoding="utf-8")
    (DOCS / "events.md").write_text(ledger(), encoding="utf-8")
