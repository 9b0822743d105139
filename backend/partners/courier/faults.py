"""What is wrong with the settings of the couriers that are switched on, before anything is started with them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Literal

from backend.partners.courier.signing import ems_key
from backend.partners.courier.tables import load
from backend.settings import Settings, SettingsError

Fault = tuple[Literal["broken", "unsafe", "missing"], str, str, str]
"""How bad it is, the variable, what is so, and what to do."""
SHORTEST_TOKEN = 32

_NEEDED: dict[str, tuple[str, ...]] = {
    "kuaidi100_key": ("kuaidi100_customer",),
    "sf_partner_id": ("sf_checkword",),
    "ems_sender_no": ("ems_authorization", "ems_sign_key"),
    "kdniao_business_id": ("kdniao_app_key",),
}
"""The setting that switches a courier on, and what it cannot do without."""
_BASES = {
    "kuaidi100_key": "kuaidi100_api_base",
    "sf_partner_id": "sf_api_base",
    "ems_sender_no": "ems_api_base",
    "kdniao_business_id": "kdniao_api_base",
}


def faults(values: Settings) -> Iterator[Fault]:
    """Everything that keeps a courier that is switched on from working, or lets others speak for it."""
    for switch, needed in _NEEDED.items():
        if not getattr(values, switch):
            continue
        for name in needed:
            if not getattr(values, name):
                what = f"is not set, although {switch.upper()} is: the courier refuses what we ask"
                yield "broken", name.upper(), what, "copy it from the courier's console"
        if not getattr(values, _BASES[switch]).startswith("https://"):
            what = "is not an https:// address"
            yield "unsafe", _BASES[switch].upper(), what, "remove it to reach the courier itself"
    yield from _keys(values)
    yield from _pushes(values)


def _keys(values: Settings) -> Iterator[Fault]:
    if values.ems_sender_no and values.ems_sign_key:
        try:
            ems_key(values.ems_sign_key)
        except SettingsError as error:
            yield "broken", "EMS_SIGN_KEY", str(error), "copy it from the courier's console"
    for name in ("kuaidi100", "sf", "ems", "kdniao", "wechat"):
        try:
            load(name, values.courier_tables)
        except SettingsError as error:
            yield "broken", "COURIER_TABLES", str(error), "correct the file"


def _pushes(values: Settings) -> Iterator[Fault]:
    if values.kuaidi100_key and not values.kuaidi100_salt:
        what = "is not set: everybody can sign pushes with an empty salt, so none is believed"
        yield "unsafe", "KUAIDI100_SALT", what, "choose a random one; it counts from the next subscription on"
    unsigned = {
        "KUAIDI100_KEY": values.kuaidi100_key and not values.kuaidi100_salt,
        "SF_PARTNER_ID": values.sf_partner_id,
        "KDNIAO_PUSH_SIGNED": values.kdniao_business_id and not (values.kdniao_push_signed and values.kdniao_app_key),
    }
    if whose := [name for name, so in unsigned.items() if so]:
        if not values.courier_push_token:
            what = f"is not set: there is no address for pushes that nobody signs ({', '.join(whose)})"
            yield "missing", "COURIER_PUSH_TOKEN", what, "set 32 random characters or more"
        elif len(values.courier_push_token) < SHORTEST_TOKEN:
            what = f"is shorter than {SHORTEST_TOKEN} characters: it is all that protects pushes without a signature"
            yield "unsafe", "COURIER_PUSH_TOKEN", what, "set 32 random characters or more"
    for part in filter(None, (each.strip() for each in values.courier_push_networks.split(","))):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            what = f"{part!r} is no network: nothing that is not signed is let in"
            yield "broken", "COURIER_PUSH_NETWORKS", what, "write networks as 203.0.113.0/24, comma separated"
