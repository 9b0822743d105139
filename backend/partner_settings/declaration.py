"""What a courier declares, once: names, settings, sandbox values, and where its protocol and its simulator are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CourierDeclaration:
    """One courier or tracker. Everything that lists couriers is derived from these."""

    name: str
    """Its name in addresses, tables and settings; the settings begin with it."""
    title: str
    """What residents and staff read."""
    company: str = ""
    """The company in 快递100's words, of a courier that takes orders; empty for one that only tracks."""
    settings: type
    """A frozen dataclass; it has `<name>_api_base` and every setting named below."""
    switch: str
    """The setting that switches it on."""
    required: tuple[str, ...]
    """Settings that it cannot work without."""
    sandbox_settings: Mapping[str, str]
    """What the simulator expects where the settings are empty. Public, so production refuses them."""
    harmless: frozenset[str] = frozenset()
    """Those of them that prove nothing: an installation may have the same."""
    test_system: str = ""
    """Host and path of its documented test system, which production refuses."""
    pushes: bool = True
    """Whether it pushes tracking data."""
    unsigned: Callable[[Any], str] = lambda own: ""
    """The variable because of which its pushes carry no verified signature; empty when they are verified."""
    live: str
    """The class that implements the ports: module in `backend.partners.courier`, and class."""
    sandbox: str
    """The simulator's `CourierDesk`: module in `backend.partners.courier.sandbox`, and class."""

    @property
    def address(self) -> str:
        """The setting that holds the address."""
        return f"{self.name}_api_base"

    def is_on(self, values: Any) -> bool:
        """Whether the settings switch it on."""
        return bool(getattr(values, self.switch))
