"""Deliveries: how what was decided reaches the resident, by post or at a counter, and where it is on the way.

Every activity is a module, and reads with it as a sentence: `moving.locked(…)`. Importing the room registers its jobs.
"""

from __future__ import annotations

from backend.deliveries import moving, numbering

__all__ = ["moving", "numbering"]
