"""The couriers that the settings switch on."""

from __future__ import annotations

from backend.partners.base import Wire
from backend.partners.courier.ems import Ems
from backend.partners.courier.kdniao import Kdniao
from backend.partners.courier.kuaidi100 import Kuaidi100
from backend.partners.courier.port import Ordering, Tracking
from backend.partners.courier.sf import Sf
from backend.settings import Settings


def live_couriers(wire: Wire, values: Settings) -> tuple[dict[str, Ordering], dict[str, Tracking]]:
    """With whom parcels can be ordered, and who knows where they are, by name.

    Raises SettingsError when a key or a table of one that is switched on cannot be used, PartnerInsecure.
    """
    couriers: dict[str, Ordering] = {}
    trackers: dict[str, Tracking] = {}
    if values.kuaidi100_key and values.kuaidi100_api_base:
        trackers["kuaidi100"] = Kuaidi100(wire, values)
    if values.sf_partner_id and values.sf_api_base:
        couriers["sf"] = trackers["sf"] = Sf(wire, values)
    if values.ems_sender_no and values.ems_api_base:
        couriers["ems"] = trackers["ems"] = Ems(wire, values)
    if values.kdniao_business_id and values.kdniao_api_base:
        trackers["kdniao"] = Kdniao(wire, values)
    return couriers, trackers
