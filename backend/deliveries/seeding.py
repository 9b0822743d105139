"""The sample counters: one in each sample hall that gives out certificates, with its hours; safe to repeat."""

from __future__ import annotations

import msgspec

from backend.catalogue.seeding import read, stable_id
from backend.deliveries import pickup_points
from backend.deliveries.pickup_points import PickupPointForm
from backend.regions import Hours
from models.deliveries import PickupPoint
from models.regions import Department

COUNTERS = {
    "city-hall": "公安",
    "exit-entry-hall": "公安",
    "chengzhong-hall": "教育",
    "yunshan-hall": "民政",
}
"""The hall, and the field of the department that runs its counter."""


async def seed() -> int:
    """Open the missing counters; how many. Halls and departments must exist. Call with an actor set."""
    halls = {entry["code"]: entry for entry in read("places.toml")["halls"]}
    opened = 0
    for code, domain in COUNTERS.items():
        identity, hall = stable_id("pickup-point", code), halls[code]
        if await PickupPoint.exists(id=identity):
            continue
        form = PickupPointForm(
            code=f"{code}-counter",
            name=f"{hall['name']}出件窗口",
            region_code=hall["region"],
            address=hall["address"],
            phone=hall["phone"],
            hours=msgspec.convert(hall["hours"], list[Hours]),
            hall_id=stable_id("hall", code),
        )
        department = await Department.get(domain=domain)
        await pickup_points.insert_pickup_point(department.id, form, identity)
        opened += 1
    return opened
