"""The documents name only what exists, and leave out nothing that they promise to list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import COMMANDS
from tests.house import settings_page

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HEADINGS = ["Context", "Options", "Decision", "Consequences", "How it is checked"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path):
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())

    local = [each.partition("#")[0] for each in links if "://" not in each]

    assert [each for each in local if each and not (document.parent / each).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_that_is_named_exists(document: Path):
    text = document.read_text()

    named = re.findall(r"`((?:api|backend|models|notifications|tests|benchmarks|docs)/[\w./*-]*)`", text)

    # X stands for any domain, as in "models/X.py".
    missing = [each for each in named if "X" not in each and not list(ROOT.glob(each.rstrip("/")))]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_is_named_exists(document: Path):
    text = document.read_text()

    named = set(re.findall(r"(?:^|`)zhangban ([a-z][a-z-]+)", text, re.MULTILINE))

    assert named <= COMMANDS.keys()


async def test_every_route_that_is_named_exists(client: httpx.AsyncClient):
    paths: dict[str, Any] = (await client.get("/openapi.json")).json()["paths"]
    shapes = {re.sub(r"\{\w+\}", "{}", path): item for path, item in paths.items()}

    missing: list[str] = []
    for document in DOCUMENTS:
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[^`\s?]+)", document.read_text()):
            if method.lower() not in shapes.get(re.sub(r"\{\w+\}", "{}", path), {}):
                missing.append(f"{name_of(document)}: {method} {path}")

    assert missing == []


@pytest.mark.parametrize("decision", DECISIONS, ids=name_of)
def test_a_decision_has_its_five_headings(decision: Path):
    text = decision.read_text()

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert text.startswith(f"# {decision.name[:4]} ")


def test_the_index_lists_every_document_and_every_decision_with_its_title():
    index = (ROOT / "docs" / "README.md").read_text()

    listed = dict(re.findall(r"- \[(.+)\]\((decisions/.+)\)", index))

    assert listed == {path.read_text().splitlines()[0][2:]: f"decisions/{path.name}" for path in DECISIONS}
    documents = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    documents |= {f"how-to/{path.name}" for path in (ROOT / "docs" / "how-to").glob("*.md")}
    assert documents <= set(re.findall(r"\]\(([\w./-]+\.md)\)", index))


def test_the_page_of_settings_says_what_the_settings_say():
    # When a setting was added or changed: python -m tests.house.settings_page
    assert settings_page.PAGE.read_text() == settings_page.text()


def test_the_decisions_are_numbered_without_a_gap():
    assert [int(path.name[:4]) for path in DECISIONS] == [*range(1, len(DECISIONS) + 1)]


def code_of_the_glossary() -> list[str]:
    """What the glossary says a thing is called in the code."""
    found, column = [], 0
    for line in (ROOT / "docs" / "glossary.md").read_text().splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if "In the code" in row:
            column = row.index("In the code")
        elif line.startswith("| ") and column:
            found += re.findall(r"`([^`]+)`", row[column])
    return found


def test_the_glossary_names_what_is_in_the_code():
    folders = ("api", "backend", "models", "notifications")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    code = "\n".join([*(str(path.relative_to(ROOT)) for path in files), *(path.read_text() for path in files)])

    def exists(name: str) -> bool:
        if "/" in name and "<" not in name and list(ROOT.glob(name.rstrip("/"))):
            return True
        # `…Detail`, `consent_*` and `api/<who>/` stand for all names of that form.
        form = re.sub(r"\\\*|…|<\w+>", r"\\w+", re.escape(name)).replace(r"\(\)", "")
        return any(re.search(rf"(?<![a-z]){each}", code) for each in (form, form.lower()))

    assert [name for name in code_of_the_glossary() if not exists(name)] == []
