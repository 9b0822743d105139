"""Loading code without looking for garbage in it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch the garbage collector off inside the block; later it passes over all that exists at the end of it.

    Modules, models and routes live as long as the process. Walking through them again and again while they are made
    takes a sixth of the start, and each full collection of a running service would walk through them once more.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
