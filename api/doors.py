"""What the five doors are made of."""

from __future__ import annotations

from typing import Any

from litestar import Router


class Door(Router):
    """A router that is made anew for each application and registered in one place.

    Litestar copies a router that it registers, with every handler in it, once on each level: half of the time that
    building the application took. What is registered once needs no copy.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> Door:
        return self
