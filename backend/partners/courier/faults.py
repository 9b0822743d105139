"""What is wrong with the settings of the couriers that are switched on, before anything is started with them."""

from __future__ import annotations

from collections.abc import Iterator

from backend.partners import simulated
from backend.partners.checking import Fault, address_faults, network_faults, simulated_faults, token_faults
from backend.partners.courier.signing import ems_key
from backend.partners.courier.tables import load
from backend.settings import Settings, SettingsError

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
        yield from address_faults(_BASES[switch].upper(), getattr(values, _BASES[switch]))
        prefix = f"{switch.partition('_')[0]}_"
        theirs = {name: value for name, value in simulated.COURIERS.items() if name.startswith(prefix)}
        yield from simulated_faults(values, theirs)
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
        nobody = f"there is no address for pushes that nobody signs ({', '.join(whose)})"
        protects = "pushes without a signature"
        yield from token_faults("COURIER_PUSH_TOKEN", values.courier_push_token, missing=nobody, protects=protects)
        yield from simulated_faults(values, {"courier_push_token": simulated.COURIERS["courier_push_token"]})
    yield from network_faults("COURIER_PUSH_NETWORKS", values.courier_push_networks)
