"""A channel in memory for every test of this folder, and jobs that call it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from backend import partners
from tests.factories.till import Till, with_tills


@pytest.fixture
def till() -> Iterator[Till]:
    """WeChat Pay, as far as the port promises; jobs call it too."""
    each = Till()
    with_tills(each)
    yield each
    partners.equip(None)


@pytest.fixture
def channels(till: Till) -> Mapping[str, Till]:
    """What use cases take."""
    return {till.name: till}
