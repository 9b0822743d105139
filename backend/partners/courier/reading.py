"""Shared by the readers of all couriers: bounds, times, nodes, and one refusal for everything unreadable."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
from prometheus_client import Counter

from backend.partners.bodies import Bounds, Unreadable
from backend.partners.courier.port import CourierPushInvalid, Node

LARGEST = 524_288
"""Bytes of a push; a full list of a hundred nodes, percent-encoded, has a fifth of it."""
BOUNDS = Bounds(largest=LARGEST, deepest=12, most=20_000)
_WAYBILL = re.compile(r"[0-9A-Za-z-]{4,40}", re.ASCII)
_COMPANY = re.compile(r"[0-9a-z_]{1,32}", re.ASCII)

NODES_DROPPED = Counter(
    "zhangban_courier_nodes_dropped_total", "Nodes of a journey without a time or text that can be read.", ("partner",)
)


@contextmanager
def rejecting_unreadable() -> Iterator[None]:
    """Turn Unreadable inside the block into CourierPushInvalid."""
    try:
        yield
    except Unreadable as error:
        raise CourierPushInvalid(str(error)) from None


def same(given: str, made: str) -> bool:
    """Whether two signatures are the same text, in a time that does not show where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), made.encode("utf-8", "replace"))


def digest(said: Any) -> str:
    """The same for the same content, in any order of its fields."""
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def group(value: Any, what: str) -> dict[str, Any]:
    """The value as a group of fields. Raises Unreadable."""
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is no group")
    return value


def groups(value: Any, what: str) -> list[dict[str, Any]]:
    """The value as a list of groups; one bare group is a list of one, nothing is an empty one. Raises Unreadable."""
    if value in ("", None):
        return []
    entries = value if isinstance(value, list) else [value]
    return [group(each, what) for each in entries]


def text(fields: Mapping[str, Any], name: str) -> str:
    """The text of a field, empty when it is missing. Raises Unreadable when it is something else."""
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise Unreadable(f"{name} is no text")
    return value.strip()


def waybill(value: str) -> str:
    """The value, when it can be the number of a waybill. Raises Unreadable."""
    if not _WAYBILL.fullmatch(value):
        raise Unreadable("no waybill")
    return value


def company(value: str) -> str:
    """The value in lower case, when it can be the word for a company. Raises Unreadable."""
    if not _COMPANY.fullmatch(value.lower()):
        raise Unreadable("no company")
    return value.lower()


def node(
    *,
    status: str,
    code: str,
    words: str,
    event_at: datetime,
    place: str = "",
    region: str | None = None,
    identity: str | None = None,
) -> Node:
    """A node within the lengths that are kept. Raises Unreadable when it has neither words nor code."""
    if not words and not code:
        raise Unreadable("a node without words and code")
    return Node(
        status=status,
        raw_code=code[:40],
        raw_text=words[:1000],
        event_at=event_at,
        place=place[:100],
        region_code=region,
        identity=identity[:64] if identity else None,
    )


def nodes(
    partner: str, entries: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Node]
) -> tuple[Node, ...]:
    """The nodes that can be read; one odd node must not hide the others.

    Raises Unreadable when there were nodes and none of them can be read.
    """
    found: list[Node] = []
    for each in entries:
        try:
            found.append(read(each))
        except Unreadable:
            NODES_DROPPED.labels(partner).inc()
    if entries and not found:
        raise Unreadable("no node can be read")
    return tuple(found)


def with_state(found: tuple[Node, ...], state: str, status: str) -> tuple[Node, ...]:
    """The nodes; where none has a code, as in cheaper contracts, the parcel's state is that of the newest."""
    if not found or not state or any(each.raw_code for each in found):
        return found
    newest = max(found, key=lambda each: each.event_at)
    coded = msgspec.structs.replace(newest, raw_code=state[:40], status=status)
    return tuple(coded if each is newest else each for each in found)
