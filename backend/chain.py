"""The arithmetic of the audit chain, without a database: how an event becomes bytes, how hashes hang together.

An auditor can recompute it with any SHA-256. The columns of an event, in the order of `COLUMNS`, are written as
netstrings (`<length in bytes>:<UTF-8 bytes>,`), instants as microseconds since 1970 in decimal; the digest is the
SHA-256 of them all. hash(n) = SHA-256(hash(n-1) + digest(n)), both raw bytes; hash(0) is the SHA-256 of
`zhangban ledger shard <number>`, so that no chain passes for that of another shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

COLUMNS = (
    "id", "created_at", "at", "name", "subject_kind", "subject_id", "actor_kind", "actor_id", "request_id", "payload",
)  # fmt: skip
"""Every column of the table `events`; a house test compares the two."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Kind = Literal["altered", "event-missing", "gap", "cut", "rewritten", "unsealed", "outside"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong with the chain, and where. `position` is null when the event has no place in it."""

    kind: Kind
    shard: int
    position: int | None
    event_id: str | None
    message: str


class Head(msgspec.Struct, frozen=True):
    """How far a shard has come: the last position and its hash."""

    shard: int
    position: int
    hash: str


class Anchor(msgspec.Struct, frozen=True):
    """The heads of all shards at one instant, to be kept out of reach of those who can write the database."""

    at: datetime
    heads: list[Head]


def genesis(shard: int) -> bytes:
    """What the first event of a shard hangs on."""
    return hashlib.sha256(f"zhangban ledger shard {shard}".encode()).digest()


def digest(event: Sequence[Any]) -> bytes:
    """The digest of an event, given as its values in the order of `COLUMNS`."""
    parts: list[bytes] = []
    for value in event:
        text = (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value
        raw = str(text).encode()
        parts.append(b"%d:%b," % (len(raw), raw))
    return hashlib.sha256(b"".join(parts)).digest()


def link(before: bytes, of_event: bytes) -> bytes:
    """The hash of an event whose digest is `of_event`, after the one with the hash `before`."""
    return hashlib.sha256(before + of_event).digest()


def raw(text: str) -> bytes:
    """A hash as it is written in the database. One that was overwritten with something else still counts as bytes."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode()


class Sealed(msgspec.Struct, frozen=True):
    """One place in the chain as it was read: the seal, and the event if it is still there."""

    shard: int
    position: int
    hash: str
    event_id: str
    event: Sequence[Any] | None


@dataclass
class Walk:
    """Goes along the chain of one shard, place by place, and says what does not fit.

    After something that does not fit it goes on from the hash that is written, so that one change is one finding.
    `anchored` are the hashes that were kept outside, by position.
    """

    shard: int
    anchored: Mapping[int, str] = field(default_factory=dict)
    position: int = 0
    before: bytes = b""
    rewritten: bool = False

    def __post_init__(self) -> None:
        self.before = genesis(self.shard)

    def step(self, sealed: Sealed) -> Iterator[Finding]:
        """Look at the next place. Places must come in the order of their positions."""
        gone = sealed.position - self.position - 1
        if gone:
            yield self._found("gap", self.position + 1, None, f"{gone} 个位置的封存记录缺失")
        self.position = sealed.position
        if sealed.event is None:
            yield self._found("event-missing", sealed.position, sealed.event_id, "事件已封存，但原记录不存在")
        elif not gone and link(self.before, digest(sealed.event)).hex() != sealed.hash:
            yield self._found("altered", sealed.position, sealed.event_id, "事件内容、顺序或封存值被改动")
        kept = self.anchored.get(sealed.position)
        if kept is not None and kept != sealed.hash and not self.rewritten:
            self.rewritten = True
            yield self._found("rewritten", sealed.position, sealed.event_id, "与外部留存的锚点不一致，链被重写或回退")
        self.before = raw(sealed.hash)

    def end(self) -> Iterator[Finding]:
        """What is missing behind the last place, as far as anchors know."""
        furthest = max(self.anchored, default=0)
        if furthest > self.position:
            message = f"锚点证明曾封存到第 {furthest} 个位置，现在只有 {self.position} 个"
            yield self._found("cut", self.position + 1, None, message)

    def head(self) -> Head:
        """How far we have come."""
        return Head(self.shard, self.position, self.before.hex())

    def _found(self, kind: Kind, position: int, event_id: str | None, message: str) -> Finding:
        return Finding(kind, self.shard, position, event_id, message)
