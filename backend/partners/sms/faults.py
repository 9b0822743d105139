"""What is wrong with the settings of the SMS gateway that is switched on, before anything is started with them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Literal

from backend.settings import Settings

Fault = tuple[Literal["broken", "unsafe", "missing"], str, str, str]
"""How bad it is, the variable, what is so, and what to do."""
SHORTEST_TOKEN = 32


def faults(values: Settings) -> Iterator[Fault]:
    """Everything that keeps texts from going out, or lets others speak for the gateway."""
    if not values.sms_api_base:
        return
    needed = ["sms_secret_id", "sms_secret_key", "sms_sign_name"]
    for name in [*needed, "sms_app_id"] if values.sms_provider == "tencent" else needed:
        if not getattr(values, name):
            what = "is not set, although SMS_API_BASE is: the gateway refuses every text"
            yield "broken", name.upper(), what, "copy it from the gateway's console"
    if not values.sms_api_base.startswith("https://"):
        yield "unsafe", "SMS_API_BASE", "is not an https:// address", "set the gateway's own address"
    if not values.sms_push_token:
        what = "is not set: nobody tells us whether a text reached its phone"
        yield (
            "missing",
            "SMS_PUSH_TOKEN",
            what,
            "set 32 random characters or more; enter the address at the gateway",
        )
    elif len(values.sms_push_token) < SHORTEST_TOKEN:
        what = f"is shorter than {SHORTEST_TOKEN} characters: it is all that protects receipts, which nobody signs"
        yield "unsafe", "SMS_PUSH_TOKEN", what, "set 32 random characters or more"
    for part in filter(None, (each.strip() for each in values.sms_push_networks.split(","))):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            what = f"{part!r} is no network: no receipt is let in"
            yield "broken", "SMS_PUSH_NETWORKS", what, "write networks as 203.0.113.0/24, comma separated"
