"""What tests of more than one door need."""

from __future__ import annotations

import pytest


@pytest.fixture
def unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are made and stay in the inbox."""

    async def nothing(resident_id: object) -> None:
        return None

    monkeypatch.setattr("notifications.delivering.deliver", nothing)
