"""Pushes that are refused although their signature is right."""

from __future__ import annotations

from backend.errors import Refused


class PushReplayed(Refused):
    """The push carries the signature of an earlier one over other content."""

    title = "推送签名已被使用"
