"""快递鸟, which tracks parcels of all companies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backend.partner_settings.declaration import CourierDeclaration


@dataclass(frozen=True, kw_only=True)
class KdniaoSettings:
    """The settings of 快递鸟."""

    # -- courier 快递鸟 ---------------------------------------------------------------------------
    kdniao_api_base: str = "https://api.kdniao.com/api/dist"
    """Address of 快递鸟, whole; the sandbox's in development."""
    kdniao_business_id: str = ""
    """EBusinessID; empty switches 快递鸟 off."""
    kdniao_app_key: str = ""
    """AppKey: requests and pushes are signed with it."""
    kdniao_push_signed: bool = True
    """Pushes must carry DataSign. Off for contracts without it: then their origin is not proven."""
    kdniao_subscribe_type: Literal["1008", "8008"] = "1008"
    """RequestType of a subscription, as the contract has it."""
    kdniao_query_type: Literal["1002", "8001", "8002"] = "1002"
    """RequestType of a query, as the contract has it."""
    kdniao_query_seconds: float = 1800.0
    """Least time between two queries about one parcel."""


DECLARATION = CourierDeclaration(
    name="kdniao",
    title="快递鸟",
    settings=KdniaoSettings,
    switch="kdniao_business_id",
    required=("kdniao_app_key",),
    sandbox_settings={
        "kdniao_business_id": "1990001",
        "kdniao_app_key": "sandbox-app-key-of-kdniao",
    },
    test_system="sandboxapi.kdniao.com/",
    unsigned=lambda own: "" if own.kdniao_push_signed and own.kdniao_app_key else "KDNIAO_PUSH_SIGNED",
    live="kdniao:Kdniao",
    sandbox="kdniao:KdniaoDesk",
)
