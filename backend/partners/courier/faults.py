"""What is wrong with the settings of the couriers that are switched on, before anything is started with them."""

from __future__ import annotations

from collections.abc import Iterator

from backend.partner_settings.couriers import COURIERS
from backend.partner_settings.declaration import CourierDeclaration
from backend.partners import simulated
from backend.partners.checking import Fault, address_faults, network_faults, simulated_faults, token_faults
from backend.partners.courier.live import live_class
from backend.partners.courier.tables import load
from backend.settings import Settings, SettingsError


def faults(values: Settings) -> Iterator[Fault]:
    """Everything that keeps a courier that is switched on from working, or lets others speak for it."""
    on = [each for each in COURIERS.values() if each.is_on(values)]
    for each in on:
        yield from _faults_of(each, values)
    for name in (*COURIERS, "wechat"):
        try:
            load(name, values.courier_tables)
        except SettingsError as error:
            yield "broken", "COURIER_TABLES", str(error), "correct the file"
    if unsigned := [variable for each in on if (variable := each.unsigned(values))]:
        missing = f"there is no address for unsigned pushes ({', '.join(unsigned)})"
        protects = "pushes without a signature"
        yield from token_faults("COURIER_PUSH_TOKEN", values.courier_push_token, missing=missing, protects=protects)
        yield from simulated_faults(values, {"courier_push_token": simulated.COURIERS["courier_push_token"]})
    yield from network_faults("COURIER_PUSH_NETWORKS", values.courier_push_networks)


def _faults_of(declared: CourierDeclaration, values: Settings) -> Iterator[Fault]:
    for name in declared.required:
        if not getattr(values, name):
            what = f"is not set, although {declared.switch.upper()} is: the courier refuses our requests"
            yield "broken", name.upper(), what, "copy it from the courier's console"
    yield from address_faults(declared.address.upper(), getattr(values, declared.address))
    yield from simulated_faults(values, declared.sandbox_settings)
    if (own := getattr(live_class(declared), "setting_faults", None)) is not None:
        yield from own(values)
