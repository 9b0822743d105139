"""Pushes that we do not take although their signature is right."""

from __future__ import annotations

from backend.errors import Refused


class PushReplayed(Refused):
    """The signature of an earlier push with another content under it."""

    title = "推送签名已被使用"
