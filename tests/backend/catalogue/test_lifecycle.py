"""Every state and every move of a version."""

from __future__ import annotations

import itertools

import pytest

from backend.catalogue.errors import ItemVersionTransitionRefused
from backend.catalogue.lifecycle import VersionTransition, after
from models.catalogue import VersionState

ALLOWED = {
    ("draft", "edit"): "draft",
    ("draft", "publish"): "published",
    ("published", "withdraw"): "withdrawn",
}


@pytest.mark.parametrize(("state", "move"), list(itertools.product(VersionState, VersionTransition)))
def test_only_the_moves_of_the_table_are_made(state: VersionState, move: VersionTransition):
    expected = ALLOWED.get((state.value, move.value))

    if expected is not None:
        assert after(state, move) == expected
        return
    with pytest.raises(ItemVersionTransitionRefused) as refused:
        after(state, move)
    assert refused.value.facts["allowed"] == sorted(each for at, each in ALLOWED if at == state)
