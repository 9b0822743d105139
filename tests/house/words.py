"""The column *Not called* of the glossary as rules, and the names and sentences that they hold for.

`word` forbids a part of a name (`lent` also `lent_connections`), `word.py` a module, `word()` a function, `…Word` and
`Word…` the end and the beginning of a class, *word* a word of prose. `in backend/deliveries:` before them limits them
to paths that begin so.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.house.log_lines import log_lines
from tests.house.reading import HOUSE, files, name, product, tree

PYTHON = (*product(), *files("tests"), *files("benchmarks"))
DOCUMENTS = tuple(sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")]))
AREA = re.compile(r"in ([\w/, ]+):")


@dataclass(frozen=True)
class Rule:
    """A word that is not used, and the beginnings of the paths that this holds for; every path without one."""

    word: str
    areas: tuple[str, ...] = ()

    def holds_at(self, path: str) -> bool:
        """Whether the rule holds for a file."""
        return not self.areas or path.startswith(self.areas)


@dataclass(frozen=True)
class Found:
    """A name or a sentence of the house: its file, its line, what kind it is, and its text."""

    path: str
    line: int
    kind: str
    text: str


@cache
def rules() -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Rules for names and rules for prose, as the glossary has them."""
    names: list[Rule] = []
    prose: list[Rule] = []
    for cell in cells():
        for part in cell.split(";"):
            found = AREA.search(part)
            areas = tuple(each.strip() for each in found[1].split(",")) if found else ()
            names += [Rule(word, areas) for word in re.findall(r"`([^`]+)`", part)]
            prose += [Rule(word, areas) for word in re.findall(r"\*([^*]+)\*", part)]
    return tuple(names), tuple(prose)


def cells() -> Iterator[str]:
    """The cells of the column *Not called* that are not empty."""
    column = 0
    for line in (HOUSE / "docs" / "glossary.md").read_text("utf-8").splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if "Not called" in row:
            column = row.index("Not called")
        elif line.startswith("| ") and column and row[column]:
            yield row[column]
        elif not line.startswith("|"):
            column = 0


@cache
def words_of(identifier: str) -> list[str]:
    """A name as words: `LeasedMessage` and `leased_message` are both leased, message."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", identifier)
    return [each for each in apart.lower().split("_") if each]


@cache
def in_name(kind: str, text: str) -> tuple[Rule, ...]:
    """The rules whose word a name uses."""
    return tuple(rule for rule in rules()[0] if is_in_name(rule.word, kind, text))


def in_prose(text: str) -> tuple[Rule, ...]:
    """The rules whose word a sentence uses."""
    return tuple(rule for rule in rules()[1] if is_in_prose(rule.word, text))


def is_in_name(word: str, kind: str, text: str) -> bool:
    """Whether a name of this kind uses the word."""
    if word.endswith(".py"):
        return kind == "module" and text == word[:-3]
    if word.endswith("()"):
        return kind == "function" and text == word[:-2]
    if "…" in word:
        return kind == "class" and _at_the_edge(word, text)
    wanted, present = words_of(word), words_of(text)
    return any(present[at : at + len(wanted)] == wanted for at in range(len(present)))


def _at_the_edge(pattern: str, text: str) -> bool:
    wanted, present = words_of(pattern.strip("…")), words_of(text)
    longer = len(present) > len(wanted) or not pattern.endswith("…")
    at_end = present[-len(wanted) :] == wanted
    return longer and (at_end if pattern.startswith("…") else present[: len(wanted)] == wanted)


def is_in_prose(word: str, text: str) -> bool:
    """Whether a sentence uses the word."""
    return word in text.lower() and _of_prose(word).search(text) is not None


@cache
def _of_prose(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}\b", re.IGNORECASE)


def names() -> Iterator[Found]:
    """What is defined in Python: modules, functions and their arguments, classes, attributes, constants."""
    for path in PYTHON:
        where = name(path)
        stem = path.parent.name if path.stem == "__init__" else path.stem
        yield Found(where, 1, "module", stem)
        yield from _named(where, tree(path), nested=False)
        yield from _declared(path)


def _named(where: str, parent: ast.AST, *, nested: bool) -> Iterator[Found]:
    """Functions, classes, arguments and attributes below a node; functions inside of functions are `nested`."""
    for node in ast.iter_child_nodes(parent):
        inside = nested
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = True
            if not node.name.startswith("test_"):
                yield Found(where, node.lineno, "nested" if nested else "function", node.name)
        elif isinstance(node, ast.ClassDef):
            yield Found(where, node.lineno, "class", node.name)
        elif isinstance(node, ast.arg):
            yield Found(where, node.lineno, "argument", node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield Found(where, node.lineno, "attribute", node.attr)
        yield from _named(where, node, nested=inside)


def _declared(path: Path) -> Iterator[Found]:
    """Constants of the module and attributes of its classes."""
    bodies = [tree(path).body, *(node.body for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))]
    for statement in (each for body in bodies for each in body):
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                yield Found(name(path), statement.lineno, "attribute", target.id)


def prose() -> Iterator[Found]:
    """Docstrings, comments, names of tests, texts of log lines and the paragraphs of documents."""
    for path in PYTHON:
        yield from _remarks(path)
    for line in log_lines():
        where, _, number = line.where.rpartition(":")
        yield Found(where, int(number), "log line", line.sentence or "")
    for path in DOCUMENTS:
        yield from _paragraphs(path)


def _remarks(path: Path) -> Iterator[Found]:
    where = name(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Found(where, node.lineno, "docstring", without_code(node.value.value))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Found(where, node.lineno, "name of a test", " ".join(words_of(node.name)))
    with path.open("rb") as file:
        for token in tokenize.tokenize(io.BytesIO(file.read()).readline):
            if token.type == tokenize.COMMENT:
                yield Found(where, token.start[0], "comment", without_code(token.string))


def _paragraphs(path: Path) -> Iterator[Found]:
    """The lines of a document without code; of the glossary without the column *Not called*."""
    fenced, forbidden = False, set(cells()) if path.name == "glossary.md" else set()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            kept = "|".join(cell for cell in line.split("|") if cell.strip() not in forbidden)
            yield Found(name(path), number, "document", without_code(kept))


def without_code(text: str) -> str:
    """The text without what stands between backticks, and without the targets of links."""
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)
