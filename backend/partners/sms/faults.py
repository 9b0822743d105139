"""What is wrong with the settings of the SMS gateway that is switched on, before anything is started with them."""

from __future__ import annotations

from collections.abc import Iterator

from backend.partners import simulated
from backend.partners.checking import Fault, address_faults, network_faults, simulated_faults, token_faults
from backend.partners.sms.tables import GATEWAYS, load
from backend.settings import Settings, SettingsError


def faults(values: Settings) -> Iterator[Fault]:
    """Everything that keeps texts from going out, or lets others speak for the gateway."""
    if not values.sms_api_base:
        return
    needed = ["sms_secret_id", "sms_secret_key", "sms_sign_name"]
    for name in [*needed, "sms_app_id"] if values.sms_provider == "tencent" else needed:
        if not getattr(values, name):
            what = "is not set, although SMS_API_BASE is: the gateway refuses every text"
            yield "broken", name.upper(), what, "copy it from the gateway's console"
    yield from address_faults("SMS_API_BASE", values.sms_api_base)
    yield from simulated_faults(values, simulated.SMS)
    silent, protects = "no report says whether a text reached its phone", "receipts, which are unsigned"
    yield from token_faults("SMS_PUSH_TOKEN", values.sms_push_token, missing=silent, protects=protects)
    yield from network_faults("SMS_PUSH_NETWORKS", values.sms_push_networks)
    for each in GATEWAYS:
        try:
            load(each, values.sms_tables)
        except SettingsError as error:
            yield "broken", "SMS_TABLES", str(error), "correct the file"
