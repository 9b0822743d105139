"""Just enough of HTTP to find the end of an answer, so that the servers are the bottleneck and not a generator."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Answers(asyncio.Protocol):
    """One keep-alive connection with at most one request on it; a subclass decides what an answer means."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(HEAD_END)
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(LENGTH)
        length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        whole = end + len(HEAD_END) + length
        if len(self.buffer) < whole:
            return
        self.buffer = self.buffer[whole:]
        self.answered(int(head[9:12]), whole)

    @abstractmethod
    def answered(self, status: int, size: int) -> None:
        """An answer has come, of so many bytes."""


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The latency that this share of the answers kept under, in milliseconds."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else None
