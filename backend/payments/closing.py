"""Closing an order that shall not be paid any more: at its channel first, then by a query, and only then here.

A payer may confirm in the very second of the close. So an order counts as closed when the channel reports it closed,
and the channel is queried once more a while later; money that comes even after that is accepted or refunded by
settling.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend import clock
from backend.database import execute
from backend.events import record
from backend.payments.events import PaymentClosed
from backend.payments.lifecycle import PAYMENTS, Transition
from backend.payments.transitions import record_transition
from backend.settings import settings
from models.payments import PaymentState

_CLOSE = "UPDATE payments SET state = 'closed', state_at = $2, check_after = $3, problem = $4 WHERE id = $1"


async def mark_closed(order: Mapping[str, Any], why: str, known_by: str) -> None:
    """Close the order here. Belongs inside the transaction in which its row is locked.

    `order` has `id`, `state`, `fee_id`, `resident_id` and `expires_at`.
    Raises PaymentTransitionRefused when its money has come.
    """
    now = clock.now()
    state = PAYMENTS.after(PaymentState(order["state"]), Transition.CLOSE)
    # The parameters that the front end holds may outlive the order, even one that never reached the channel.
    again = max(now, order["expires_at"]) + timedelta(seconds=settings().payment_last_check_seconds)
    await execute(_CLOSE, order["id"], now, again, why[:64])
    await record_transition("payment", order["id"], order["state"], state, known_by)
    await record(
        PaymentClosed(payment_id=order["id"], fee_id=order["fee_id"], resident_id=order["resident_id"], why=why)
    )
