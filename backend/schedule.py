"""What happens by the clock: the whole table. Cron times are UTC."""

from __future__ import annotations

from typing import Any

from backend import appointments, auditing, jobs, payments
from backend.callbacks import delete_old_pushes
from backend.deliveries import anomalies, erasing, handing_over, polling
from backend.idempotency import forget_expired
from backend.identity import delegating
from backend.job_keeping import delete_old_logs
from backend.jobs import Timetable
from backend.settings import settings


@jobs.job("idempotency.forget-expired")
async def _forget_expired(_: dict[str, Any]) -> None:
    await forget_expired()


@jobs.job("jobs.delete-old-logs")
async def _delete_old_logs(_: dict[str, Any]) -> None:
    await delete_old_logs()


@jobs.job("callbacks.delete-old-pushes")
async def _delete_old_pushes(_: dict[str, Any]) -> None:
    await delete_old_pushes()


@jobs.job("deliveries.forget")
async def _forget_deliveries(_: dict[str, Any]) -> None:
    while await erasing.sweep_erased():
        pass


@jobs.job("appointments.keep-horizon")
async def _keep_horizon(_: dict[str, Any]) -> None:
    await appointments.keep_slot_horizon()


@jobs.job("appointments.mark-missed")
async def _mark_missed(_: dict[str, Any]) -> None:
    await appointments.mark_missed_visits()


@jobs.job("appointments.close-days")
async def _close_days(_: dict[str, Any]) -> None:
    await appointments.end_past_visits()


@jobs.job("appointments.forget-codes")
async def _forget_codes(_: dict[str, Any]) -> None:
    await appointments.delete_spent_codes()


@jobs.job("payments.bills")
async def _queue_bills(_: dict[str, Any]) -> None:
    await payments.enqueue_due_bills()


CRON: list[tuple[str, str]] = [
    ("41 17 * * *", "cases.recount"),
    ("7 17 * * *", "appointments.keep-horizon"),
    ("20 18 * * *", "appointments.mark-missed"),
    ("30 18 * * *", "appointments.close-days"),
    ("50 19 * * *", "appointments.forget-codes"),
    ("17 * * * *", "idempotency.forget-expired"),
    ("10 19 * * *", "jobs.delete-old-logs"),
    ("40 19 * * *", "callbacks.delete-old-pushes"),
    ("20 19 * * *", "deliveries.forget"),
    ("5 * * * *", "audit.anchor"),
    ("23 * * * *", "identity.sweep"),
    ("20 * * * *", "payments.bills"),
]


def timetable() -> Timetable:
    """The table as a worker takes it."""
    return Timetable(
        cron=tuple(CRON),
        every=(
            (settings().ledger_seal_seconds, auditing.seal_all),
            # Each is safe beside itself in another worker: the second one finds nothing to do.
            (settings().booking_clock_seconds, appointments.expire_holds),
            (settings().booking_clock_seconds, appointments.offer_free_places),
            (settings().booking_clock_seconds, appointments.release_rested_places),
            (settings().booking_clock_seconds, appointments.hold_due_draws),
            (30.0, appointments.prepare_draws),
            (30.0, appointments.record_visit_reminders),
            (300.0, appointments.end_past_waiting),
            (60.0, delegating.end_expired_delegations),
            (settings().courier_sweep_seconds, polling.enqueue_due_queries),
            (600.0, anomalies.find_stalled_shipments),
            (600.0, handing_over.record_reminders),
            (settings().payment_sweep_seconds, payments.enqueue_due_checks),
            (settings().refund_sweep_seconds, payments.enqueue_due_refund_checks),
        ),
    )
