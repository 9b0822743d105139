"""快递100, which tracks parcels of all companies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backend.partner_settings.declaration import CourierDeclaration


@dataclass(frozen=True, kw_only=True)
class Kuaidi100Settings:
    """The settings of 快递100."""

    # -- courier 快递100 ------------------------------------------------------------------------
    kuaidi100_api_base: str = "https://poll.kuaidi100.com"
    """Address of 快递100; the sandbox's in development."""
    kuaidi100_key: str = ""
    """授权 key; empty switches 快递100 off."""
    kuaidi100_customer: str = ""
    """Customer number; queries are signed with it."""
    kuaidi100_salt: str = ""
    """Salt of the signature of pushes. Empty still signs, but proves nothing: such pushes are treated as unsigned, and
    production does not start."""
    kuaidi100_edition: Literal["1", "4", "8"] = "4"
    """`resultv2`: 4 and 8 report the finer codes of a journey, as the contract allows."""
    kuaidi100_query_seconds: float = 1800.0
    """Least time between two queries about one parcel."""


DECLARATION = CourierDeclaration(
    name="kuaidi100",
    title="快递100",
    settings=Kuaidi100Settings,
    switch="kuaidi100_key",
    required=("kuaidi100_customer",),
    sandbox_settings={
        "kuaidi100_key": "sandboxKEY100",
        "kuaidi100_customer": "SANDBOXCUSTOMER100",
        "kuaidi100_salt": "sandbox-salt-of-kuaidi100",
    },
    unsigned=lambda own: "" if own.kuaidi100_salt else "KUAIDI100_KEY",
    live="kuaidi100:Kuaidi100",
    sandbox="kuaidi100:Kuaidi100Desk",
)
