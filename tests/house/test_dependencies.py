"""Every dependency is wanted, explained and pinned; and nothing else is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
PRODUCT = ("api", "backend", "models", "notifications")
OURS = {*PRODUCT, "tests", "benchmarks", "requirements"}
SILENT = {"httptools", "justmytype-intl-cjk", "litestar-offline-docs"}
"""Used without an import of ours: uvicorn finds the first by itself, of the others only files are read."""


def normal(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """The distribution that a requirement names."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return normal(found[0])


def declared() -> dict[str, set[str]]:
    """Distributions by section of pyproject.toml."""
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())
    groups = {"service": project["project"]["dependencies"], **project["dependency-groups"]}
    return {section: {name_of(each) for each in requirements} for section, requirements in groups.items()}


def explained() -> dict[str, list[str]]:
    """Distributions by section of the page, from the first cell of each row."""
    parts = re.split(r"^## .*$", (HOUSE / "docs" / "dependencies.md").read_text(), flags=re.MULTILINE)[1:4]
    rows = [re.findall(r"^\| ([A-Za-z0-9._-]+) \|", part, flags=re.MULTILINE) for part in parts]
    return {
        section: [normal(each) for each in names if each != "distribution"]
        for section, names in zip(("service", "dev", "bench"), rows, strict=True)
    }


@pytest.mark.parametrize("section", ["service", "dev", "bench"])
def test_every_dependency_has_its_line_and_every_line_its_dependency(section: str):
    assert sorted(explained()[section]) == sorted(declared()[section])


def test_every_line_says_why_what_it_costs_and_what_would_replace_it():
    rows = re.findall(r"^\| [a-zA-Z].*$", (HOUSE / "docs" / "dependencies.md").read_text(), flags=re.MULTILINE)

    assert rows
    assert all(len([cell for cell in row.split("|") if cell.strip()]) == 4 for row in rows)


@pytest.mark.parametrize("name", ["lock", "dev", "bench"])
def test_lock_files_pin_and_hash_everything_and_name_no_address(name: str):
    text = (HOUSE / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())

    assert "://" not in text
    assert not re.search(r"^\s*(--index|--extra|--find|-i |-f )", text, flags=re.MULTILINE)
    assert all(re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+", each) for each in entries)
    assert all("--hash=sha256:" in each for each in entries)


@pytest.mark.parametrize(("name", "sections"), [("lock", ["service"]), ("dev", ["dev"]), ("bench", ["bench"])])
def test_lock_files_hold_everything_that_is_declared(name: str, sections: list[str]):
    pinned = set(re.findall(r"^([a-z0-9-]+)", (HOUSE / "requirements" / f"{name}.txt").read_text(), flags=re.MULTILINE))

    assert set().union(*(declared()[each] for each in sections)) <= pinned


def imported(folder: str) -> dict[str, set[str]]:
    """Top-level modules that the folder imports, with the files that do."""
    found: dict[str, set[str]] = {}
    for path in (HOUSE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(str(path.relative_to(HOUSE)))
    return {name: files for name, files in found.items() if name not in sys.stdlib_module_names | OURS}


def used(folders: tuple[str, ...]) -> dict[str, set[str]]:
    """Distributions that the folders import, with the files that do."""
    providers = packages_distributions()
    found: dict[str, set[str]] = {}
    for folder in folders:
        for module, files in imported(folder).items():
            assert module in providers, f"{module} is not installed, but imported by {sorted(files)}"
            for distribution in providers[module]:
                found.setdefault(normal(distribution), set()).update(files)
    return found


def _names(distribution: str) -> set[str]:
    """The distribution, or a family of them that share one top-level module."""
    family = {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"}
    return family if distribution.startswith("opentelemetry-") else {distribution}


def test_the_product_imports_nothing_that_is_not_declared():
    undeclared = {name: files for name, files in used(PRODUCT).items() if not _names(name) & declared()["service"]}

    assert undeclared == {}


def test_the_product_declares_nothing_that_it_does_not_use():
    wanted = set().union(*(_names(each) for each in used(PRODUCT))) | SILENT

    assert declared()["service"] <= wanted


def test_tests_import_nothing_that_is_not_declared():
    allowed = declared()["service"] | declared()["dev"]

    assert {name: files for name, files in used(("tests",)).items() if not _names(name) & allowed} == {}
