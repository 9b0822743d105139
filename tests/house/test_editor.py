"""Editors and ruff agree on indentation, the length of lines and their ends."""

from __future__ import annotations

import tomllib
from configparser import ConfigParser

from tests.house.reading import HOUSE

RUFF = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]


def _of_python() -> dict[str, str]:
    """What .editorconfig fixes for Python files."""
    parser = ConfigParser()
    parser.read_string("[root]\n" + (HOUSE / ".editorconfig").read_text("utf-8"))
    return {**parser["*"], **parser["*.py"]}


def test_editors_write_python_as_ruff_formats_it():
    fixed = _of_python()

    assert int(fixed["max_line_length"]) == RUFF["line-length"]
    assert int(fixed["indent_size"]) == RUFF["indent-width"]
    assert fixed["indent_style"] == RUFF["format"]["indent-style"]
    assert fixed["end_of_line"] == RUFF["format"]["line-ending"]
    assert (fixed["charset"], fixed["insert_final_newline"]) == ("utf-8", "true")
