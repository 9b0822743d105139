"""Amounts of money are whole fen; this is how they are written for people and partners."""

from __future__ import annotations


def yuan(fen: int, *, grouped: bool = False) -> str:
    """`1234.50` for 123450 fen; with `grouped`, `1,234.50`. Raises ValueError for less than nothing."""
    if fen < 0:
        raise ValueError(f"{fen} fen is less than nothing")
    return f"{fen // 100:{',' if grouped else ''}}.{fen % 100:02d}"


def in_yuan(fen: int) -> str:
    """`1234.50元`, as messages and payment pages write it. Raises ValueError for less than nothing."""
    return f"{yuan(fen)}元"
