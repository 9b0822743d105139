"""Addresses for pushes without a signature: an end that cannot be guessed, and the networks that they come from."""

from __future__ import annotations

import hmac
from ipaddress import ip_address, ip_network


def admits(token: str, address: str, *, wanted: str, networks: str) -> bool:
    """Whether the end of the address is the right one, and the push comes from one of the networks.

    Without a `wanted` end no push is admitted; without `networks` (comma separated) every network is. The comparison
    takes the same time however much of the end was right.
    """
    is_token = bool(wanted) and hmac.compare_digest(token.encode("utf-8", "surrogatepass"), wanted.encode())
    return is_token and _is_from(address, networks)


def _is_from(address: str, networks: str) -> bool:
    allowed = [part.strip() for part in networks.split(",") if part.strip()]
    if not allowed:
        return True
    try:
        return any(ip_address(address) in ip_network(each, strict=False) for each in allowed)
    except ValueError:
        return False
