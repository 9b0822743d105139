"""The partners as handlers get them: one bundle per process, opened and closed with the application."""

from __future__ import annotations

from litestar.datastructures import State

from backend.partners import Partners


def provide_partners(state: State) -> Partners:
    """The bundle that the application was opened with."""
    bundle = state["partners"]
    assert isinstance(bundle, Partners)
    return bundle
