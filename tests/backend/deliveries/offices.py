"""Departments that send, and what waits there."""

from __future__ import annotations

from typing import Any

from backend import jobs
from backend.database import execute, fetch, fetch_value
from backend.deliveries import dispatching
from backend.identity.principals import AsStaff
from models.deliveries import Delivery
from models.regions import Department
from tests.factories.deliveries import a_delivery
from tests.factories.identity import a_staff
from tests.factories.regions import a_department, a_hall


async def an_office() -> tuple[AsStaff, Department]:
    """A department with a hall in its region, and a member of staff who sends for it."""
    department = await a_department()
    await a_hall(region=await department.region, address="政务大道88号")
    return await a_staff(department_id=department.id, duties=[dispatching.SEND]), department


async def one_to_send(staff: AsStaff, **changes: Any) -> Delivery:
    return await a_delivery(department_id=staff.department_id, **changes)


async def shipments() -> list[tuple[str, str | None, bool]]:
    rows = await fetch("SELECT state, order_error, ended_at IS NOT NULL AS over FROM shipments ORDER BY attempt")
    return [(row["state"], row["order_error"], row["over"]) for row in rows]


async def jobs_later() -> int:
    """Jobs that wait for their time."""
    count: int = await fetch_value("SELECT count(*) FROM pgqueuer WHERE status = 'queued' AND execute_after > now()")
    return count


async def their_time_comes() -> None:
    await execute("UPDATE pgqueuer SET execute_after = now() WHERE status = 'queued'")
    await jobs.drain()
