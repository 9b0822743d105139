"""Alipay's amounts are yuan as text with two decimals; ours are whole fen. And its times, which are China's."""

from __future__ import annotations

import re
from datetime import datetime

from backend import clock
from backend.partners.paying.exact_json import MOST_FEN, Ambiguous

_YUAN = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?")


def fen_of(text: object, *, least: int = 1) -> int:
    """Yuan as fen, by moving the point. Raises Ambiguous."""
    found = _YUAN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise Ambiguous("no amount")
    amount = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    if not least <= amount <= MOST_FEN:
        raise Ambiguous("no amount")
    return amount


def instant_of(text: object) -> datetime:
    """`2026-01-01 12:00:06`, with or without a fraction, as an instant. Raises Ambiguous."""
    try:
        if isinstance(text, str):
            return datetime.strptime(text.partition(".")[0], "%Y-%m-%d %H:%M:%S").replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        pass
    raise Ambiguous("no instant")


def written(moment: datetime) -> str:
    """An instant as Alipay writes it."""
    return moment.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
