"""Named parameters become positions."""

from __future__ import annotations

import pytest

from backend.database import fetch_row
from backend.sql import named, positional


async def test_names_become_positions_and_casts_stay():
    row = await fetch_row(*named("SELECT :a::int + :b::int AS sum, ':a' AS text, :a::int AS again", {"b": 2, "a": 1}))

    assert row is not None
    assert tuple(row) == (3, ":a", 1)


def test_one_name_has_one_position():
    assert positional("SELECT :x, :y, :x") == ("SELECT $1, $2, $1", ("x", "y"))


def test_a_value_without_a_place_is_refused():
    with pytest.raises(ValueError, match="spare"):
        named("SELECT :a", {"a": 1, "spare": 2})


def test_a_place_without_a_value_is_refused():
    with pytest.raises(KeyError):
        named("SELECT :a", {})
