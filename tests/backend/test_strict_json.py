"""JSON with one meaning or none."""

from __future__ import annotations

import pytest

from backend import strict_json
from backend.strict_json import NameRepeated, StrictJsonInvalid


def test_json_is_decoded_as_it_stands():
    text = '{"name": "掌办", "list": [1, 2.5, null, true], "group": {"name": "again"}}'
    wanted = {"name": "掌办", "list": [1, 2.5, None, True], "group": {"name": "again"}}
    assert strict_json.decode(text) == strict_json.decode(text.encode()) == wanted


def test_numbers_are_read_by_the_caller_s_function():
    assert strict_json.decode('{"a": 1500, "b": 15.00}', number=str) == {"a": "1500", "b": "15.00"}


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "a": 2}}]', '{"a": 1, "\\u0061": 2}'])
def test_a_repeated_name_is_refused_at_every_depth(text: str):
    with pytest.raises(NameRepeated):
        strict_json.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf{}",
        "\ufeff{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        '{"a": NaN}',
        "[-Infinity]",
        "{'a': 1}",
        '{"a": 1} {}',
        "",
        "[" * 100_000,
        "9" * 5_000,
    ],
    ids=["BOM", "BOM in text", "UTF-16", "not UTF-8", "NaN", "Infinity", "quotes", "two", "empty", "deep", "digits"],
)
def test_what_is_no_json_is_refused(text: str | bytes):
    with pytest.raises(StrictJsonInvalid):
        strict_json.decode(text)
