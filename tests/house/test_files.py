"""Files are short, finished, and speak of what exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.reading import HOUSE, files, name, product, tree

LONGEST = 400
GENERATED = re.compile(r"^models/migrations/\d{4}_")
PYTHON = tuple(each for each in (*product(), *files("tests"), *files("benchmarks")))
TEXTS = sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")])
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|NotImplemented" r"Error)\b")
OUTSIDE = re.compile(r"/wo" r"rk\b|\.\./sha" r"red|issues sh" r"ow")
"""Words that only mean something where this was written."""
_FOLDERS = "api|backend|models|notifications|tests|benchmarks|docs|requirements"
_SPOKEN = re.compile(rf"(?<![\w/])((?:{_FOLDERS})/[\w/-]+\.(?:py|toml|md))\b")


def test_no_file_is_longer_than_a_reader_can_hold():
    lengths = {
        name(path): len(path.read_text("utf-8").splitlines()) for path in PYTHON if not GENERATED.match(name(path))
    }

    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_nothing_is_left_for_later():
    found = {name(path): UNFINISHED.findall(path.read_text("utf-8")) for path in (*PYTHON, *TEXTS)}

    assert {path: words for path, words in found.items() if words} == {}


def test_nothing_speaks_of_the_place_where_it_was_written():
    found = {name(path): OUTSIDE.findall(path.read_text("utf-8")) for path in (*PYTHON, *TEXTS)}

    assert {path: words for path, words in found.items() if words} == {}


def test_no_test_is_skipped_or_expected_to_fail():
    skipping = {"skip", "skipif", "xfail", "importorskip"}
    found = [
        f"{name(path)}:{node.lineno}"
        for path in files("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in skipping
    ]

    assert found == []


def _silent() -> Iterator[str]:
    for path in product():
        module = tree(path)
        if not module.body or GENERATED.match(name(path)):
            continue
        if not ast.get_docstring(module):
            yield name(path)
        for node in module.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "_"
            ):
                # A handler is described by its summary, which the description of the API shows; `add` of a command
                # by the help of its options.
                described = any("summary" in ast.dump(decorator) for decorator in node.decorator_list) or (
                    node.name == "add" and "commands" in path.parts
                )
                if not ast.get_docstring(node) and not described:
                    yield f"{name(path)}:{node.lineno} {node.name}"


def test_every_file_and_everything_public_says_what_it_is():
    assert list(_silent()) == []


def test_comments_and_docstrings_name_only_what_exists():
    missing = [
        f"{name(path)}: {each}"
        for path in product()
        for each in _SPOKEN.findall(path.read_text("utf-8"))
        if not (HOUSE / each).exists()
    ]

    assert missing == []


def test_tests_are_named_by_true_sentences():
    short = [
        f"{name(path)}:{node.lineno} {node.name}"
        for path in files("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") < 3
        and path.name != "conftest.py"
    ]

    assert short == []
