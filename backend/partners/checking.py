"""What is wrong with the settings of partners: one form for it, and the checks that several of them need."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import urlsplit

from backend.partner_settings.couriers import COURIERS
from backend.partners import simulated
from backend.settings import Settings

Fault = tuple[Literal["broken", "unsafe", "missing"], str, str, str]
"""Severity, variable, finding and remedy."""
SHORTEST_TOKEN = 32
_CHOOSE = f"set {SHORTEST_TOKEN} random characters or more, here and at the partner"
_SHORT = f"is shorter than {SHORTEST_TOKEN} characters: it is all that protects"
_TEST_SYSTEMS = tuple(each.test_system for each in COURIERS.values() if each.test_system)


def address_faults(name: str, base: str) -> Iterator[Fault]:
    """An address at which secrets would be readable, or no real partner would answer."""
    parts = urlsplit(base)
    if parts.scheme != "https":
        yield "unsafe", name, "is not an https:// address", "set the partner's own address"
    elif _is_this_machine(parts.hostname or ""):
        yield "unsafe", name, "is on this machine, where only simulators answer", "set the partner's own address"
    elif f"{parts.hostname}{parts.path}/".startswith(_TEST_SYSTEMS):
        yield "unsafe", name, "is the partner's test system: nothing is sent from there", "set its real address"


def simulated_faults(values: Settings, known: Mapping[str, str]) -> Iterator[Fault]:
    """Names and keys that are those of our simulators, which are public; none while we call those."""
    for name in known:
        if not values.sandbox and name not in simulated.HARMLESS and getattr(values, name) == known[name]:
            yield "unsafe", name.upper(), "is the one of the simulator, which is public", "set your own"


def token_faults(name: str, token: str, *, missing: str, protects: str) -> Iterator[Fault]:
    """The unguessable end of an address for pushes that are not signed."""
    if not token:
        yield "missing", name, f"is not set: {missing}", _CHOOSE
    elif len(token) < SHORTEST_TOKEN:
        yield "unsafe", name, f"{_SHORT} {protects}", _CHOOSE


def network_faults(name: str, networks: str) -> Iterator[Fault]:
    """Parts of a list of networks that are none."""
    for part in filter(None, (each.strip() for each in networks.split(","))):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            what = f"{part!r} is no network: nothing that is not signed is let in"
            yield "broken", name, what, "write networks as 203.0.113.0/24, comma separated"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".").rpartition(".")[2] == "localhost"
