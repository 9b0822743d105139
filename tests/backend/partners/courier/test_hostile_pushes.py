"""Reading any body that comes to a courier's address is quick and ends in a push or in one of two refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.partners.base import Wire
from backend.partners.courier.live import live_couriers
from backend.partners.courier.port import CourierPush, CourierPushInvalid, CourierPushSignatureInvalid, Tracking
from backend.partners.courier.reading import LARGEST
from backend.partners.courier.signing import kdniao_signature, kuaidi100_signature
from tests.backend.partners.courier.conftest import SALT, values_for
from tests.backend.partners.courier.test_kdniao import SAID, a_push
from tests.backend.partners.courier.test_sf import ROUTE, xml_of
from tests.backend.partners.wechat.test_hostile_bodies import HOSTILE

SLOWEST = 0.5
NAMES = ("kuaidi100", "sf", "ems", "kdniao")


def readers() -> Mapping[str, Tracking]:
    values = values_for("http://127.0.0.1:9")
    return live_couriers(Wire(values), values)[1]


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


def for_kuaidi100(param: str) -> bytes:
    return form(param=param, sign=kuaidi100_signature(param, SALT))


def for_kdniao(data: str) -> bytes:
    return form(RequestData=data, DataSign=kdniao_signature(data, "app-key"))


def as_request(body: bytes) -> bytes:
    """The XML corpus, with the element that SF sends."""
    return (
        body.replace(b"<xml", b"<Request").replace(b"</xml>", b"</Request>").replace(b"DOCTYPE xml", b"DOCTYPE Request")
    )


TEXTS = {name: body.decode("utf-8", "replace") for name, body in HOSTILE.items() if len(body) < 2_000_000}
CORPUS: dict[str, bytes] = {
    **HOSTILE,
    **{f"{name}, as SF's": as_request(body) for name, body in HOSTILE.items()},
    **{f"{name}, in SF's form": form(content=as_request(text.encode()).decode()) for name, text in TEXTS.items()},
    **{f"{name}, signed as 快递100": for_kuaidi100(text) for name, text in TEXTS.items()},
    **{f"{name}, signed as 快递鸟": for_kdniao(text) for name, text in TEXTS.items()},
    "a million fields": b"a=1&" * 1_000_000,
    "as many fields as fit": b"&" * (LARGEST - 1),
    "as many names as fit": b"a=&" * (LARGEST // 3),
    "one long field": b"param=" + b"%41" * (LARGEST // 3 - 3),
    "one long field of plus": b"param=" + b"+" * (LARGEST - 7),
    "a field twice": form(param="{}", sign="x") + b"&param=%7B%7D",
    "a field twice by other spelling": form(param="{}", sign="x") + b"&p%61ram=%7B%7D",
    "a field without a value": b"param",
    "half a percent": b"param=%",
    "half an escape": b"param=%4&sign=%zz",
    "not UTF-8 inside an escape": b"param=%ff%fe&sign=1",
    "a NUL inside an escape": b"param=%00&sign=1",
    "array of a hundred thousand": b"[" * 100_000,
    "objects of a hundred thousand": b'{"a":' * 100_000,
    "elements of a hundred thousand": b"<Request>" + b"<a>" * 100_000,
    "attributes of a hundred thousand": b"<Request " + b" ".join(b'a%d=""' % n for n in range(30_000)) + b"/>",
    "BOM": "\ufeff{}".encode(),
    "a number of a hundred thousand digits": b'{"Body":' + b"9" * 100_000 + b"}",
    "deep and signed": for_kuaidi100('{"a":' * 90_000),
    "as large as it may be": b"<Request><Body>" + b"x" * (LARGEST - 40) + b"</Body></Request>",
    "larger than it may be": b'{"Body":"' + b"x" * LARGEST + b'"}',
}


@pytest.mark.parametrize("name", NAMES)
def test_hostile_bodies_are_refused_quickly_by_every_reader(name: str):
    reader = readers()[name]

    for what, body in CORPUS.items():
        started = time.process_time()
        with pytest.raises((CourierPushSignatureInvalid, CourierPushInvalid)):
            reader.open_push({}, body)
        assert time.process_time() - started < SLOWEST, what


def opened(reader: Tracking, body: bytes) -> CourierPush | None:
    try:
        return reader.open_push({"content-type": "text/nonsense"}, body)
    except (CourierPushSignatureInvalid, CourierPushInvalid):
        return None


@given(st.binary(max_size=300))
def test_no_bytes_escape_as_another_error(body: bytes):
    text = body.decode("utf-8", "replace")
    wrapped = (
        body,
        b"<Request>" + body + b"</Request>",
        b'{"Body":' + body + b"}",
        b"content=" + body,
        b"param=" + body + b"&sign=" + body,
        form(content=text),
        for_kuaidi100(text),
        for_kdniao(text),
    )
    for reader in readers().values():
        for each in wrapped:
            opened(reader, each)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
LAST: dict[str, Any] = {
    "state": "0",
    "com": "ems",
    "nu": "TEST0000000001",
    "ischeck": "0",
    "data": [{"context": "x", "ftime": "2026-01-02 10:00:00", "statusCode": "103", "areaCode": "CN1", "areaName": "x"}],
}


def changed(value: Any, path: list[int], to: Any) -> Any:
    """The value with one place of it, chosen by the path, replaced."""
    if not path or not isinstance(value, dict | list) or not value:
        return to
    if isinstance(value, list):
        n = path[0] % len(value)
        return [changed(each, path[1:], to) if i == n else each for i, each in enumerate(value)]
    name = sorted(value)[path[0] % len(value)]
    return {**value, name: changed(value[name], path[1:], to)}


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), ANYTHING)
def test_a_right_push_with_anything_anywhere_in_it_is_read_or_refused(path: list[int], to: Any):
    kuaidi100 = {"status": "polling", "comOld": "", "comNew": "", "lastResult": LAST}
    bodies = (
        ("kuaidi100", for_kuaidi100(json.dumps(changed(kuaidi100, path, to)))),
        ("sf", json.dumps(changed({"Body": {"WaybillRoute": [ROUTE]}}, path, to)).encode()),
        ("kdniao", for_kdniao(json.dumps(changed(a_push(SAID), path, to)))),
    )
    by_name = readers()
    for name, body in bodies:
        push = opened(by_name[name], body)
        for track in push.tracks if push else ():
            assert all(len(node.raw_code) <= 40 and len(node.place) <= 100 for node in track.nodes)
            assert all(node.event_at.tzinfo is not None and node.status for node in track.nodes)
            assert len(track.waybill) <= 40
            assert "\x00" not in f"{track.company}{track.order_number}"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("kuaidi100", for_kuaidi100(json.dumps({"status": "polling", "lastResult": LAST}))),
        ("kdniao", for_kdniao(json.dumps(a_push(SAID)))),
        ("sf", form(content=xml_of([ROUTE]))),
    ],
)
def test_of_two_equal_fields_none_is_accepted_even_when_both_are_right(name: str, body: bytes):
    reader = readers()[name]

    assert reader.open_push({}, body).tracks
    for field in body.split(b"&"):
        with pytest.raises(CourierPushInvalid):
            reader.open_push({}, body + b"&" + field)


@given(st.dictionaries(st.sampled_from(sorted(ROUTE)), st.text(max_size=30), max_size=9))
def test_any_attributes_of_a_route_are_read_or_refused(attributes: dict[str, str]):
    opened(readers()["sf"], xml_of([{**ROUTE, **attributes}]).encode("utf-8", "replace"))


@pytest.mark.parametrize("name", NAMES)
def test_every_unreadable_body_has_an_answer(name: str):
    answer = readers()[name].answer(None, accepted=False)

    assert answer.body
    assert b"true" not in answer.body
