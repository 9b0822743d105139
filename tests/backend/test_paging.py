"""A cursor is a place that we named ourselves, in the list it was made for."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.paging import CursorInvalid, cursor_of, place_of
from backend.settings import using

PLACE = ["2026-11-22T04:00:00Z", "0194a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b", 7]


def test_a_cursor_leads_back_to_its_place():
    assert place_of(cursor_of(PLACE, "cases"), "cases") == PLACE


def test_a_cursor_of_another_list_is_refused():
    with pytest.raises(CursorInvalid):
        place_of(cursor_of(PLACE, "cases"), "messages")


def test_a_cursor_under_another_secret_is_refused():
    with using(token_secret="another"):
        cursor = cursor_of(PLACE, "cases")

    with pytest.raises(CursorInvalid):
        place_of(cursor, "cases")


def test_any_changed_byte_is_noticed():
    raw = bytearray(urlsafe_b64decode(cursor_of(PLACE, "cases") + "=="))
    for byte in range(len(raw)):
        raw[byte] ^= 1
        with pytest.raises(CursorInvalid):
            place_of(urlsafe_b64encode(raw).decode().rstrip("="), "cases")
        raw[byte] ^= 1


@given(st.text(max_size=60))
def test_a_made_up_cursor_is_refused(made_up: str):
    with pytest.raises(CursorInvalid):
        place_of(made_up, "cases")


def test_the_refusal_points_to_the_field():
    with pytest.raises(CursorInvalid) as refused:
        place_of("x", "cases")

    assert [fault.pointer for fault in refused.value.fields] == ["/cursor"]
