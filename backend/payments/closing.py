"""An order that nobody shall pay any more: closed at its channel first, then asked about, and only then closed here.

A payer may confirm in the very second of the close. So an order counts as closed when the channel says so, and it is
asked once more a while later; money that comes even after that is accepted or given back by settling.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend import clock
from backend.database import execute
from backend.events import record
from backend.payments.events import PaymentClosed
from backend.payments.lifecycle import Move, after
from backend.payments.moving import note
from backend.settings import settings
from models.payments import PaymentState

_CLOSE = "UPDATE payments SET state = 'closed', state_at = $2, check_after = $3, trouble = $4 WHERE id = $1"


async def mark_closed(order: Mapping[str, Any], why: str, known_by: str) -> None:
    """Close the order here. Belongs inside the transaction in which its row is locked.

    `order` has `id`, `state`, `fee_id`, `resident_id` and `expires_at`.
    Raises PaymentTransitionRefused when its money has come.
    """
    now = clock.now()
    state = after(PaymentState(order["state"]), Move.CLOSE)
    # What the front end was handed may be good for longer than the order that the channel has never heard of.
    again = max(now, order["expires_at"]) + timedelta(seconds=settings().payment_last_look_seconds)
    await execute(_CLOSE, order["id"], now, again, why[:64])
    await note("payment", order["id"], order["state"], state, known_by)
    await record(
        PaymentClosed(payment_id=order["id"], fee_id=order["fee_id"], resident_id=order["resident_id"], why=why)
    )
