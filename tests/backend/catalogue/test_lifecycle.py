"""Every state and every transition of a version."""

from __future__ import annotations

import itertools

import pytest

from backend.catalogue.errors import ItemVersionTransitionRefused
from backend.catalogue.lifecycle import ITEM_VERSIONS, VersionTransition
from models.catalogue import VersionState

ALLOWED = {
    ("draft", "edit"): "draft",
    ("draft", "publish"): "published",
    ("published", "withdraw"): "withdrawn",
}


@pytest.mark.parametrize(("state", "transition"), list(itertools.product(VersionState, VersionTransition)))
def test_only_the_transitions_of_the_table_are_made(state: VersionState, transition: VersionTransition):
    expected = ALLOWED.get((state.value, transition.value))

    if expected is not None:
        assert ITEM_VERSIONS.after(state, transition) == expected
        return
    with pytest.raises(ItemVersionTransitionRefused) as refused:
        ITEM_VERSIONS.after(state, transition)
    assert refused.value.facts["allowed"] == sorted(each for at, each in ALLOWED if at == state)
