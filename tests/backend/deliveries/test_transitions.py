"""The steps of a delivery and their trail."""

from __future__ import annotations

import re

import pytest

from backend import clock
from backend.database import fetch_row, transaction
from backend.deliveries import numbering, transitions
from backend.deliveries.errors import DeliveryNotFound, DeliveryTransitionRefused
from backend.deliveries.lifecycle import Transition
from models.deliveries import DeliveryState as D
from tests.factories.deliveries import a_delivery, a_shipment, delivery_state, moves_of, recorded_states


def test_numbers_have_their_form_and_a_shipment_has_the_one_of_its_attempt():
    number = numbering.delivery_number()

    assert re.fullmatch(numbering.DELIVERY_NUMBER, number)
    assert numbering.shipment_number(number, 1) == f"S{number[1:]}01" != numbering.shipment_number(number, 2)
    assert len(numbering.shipment_number(number, 99)) <= 32
    with pytest.raises(ValueError):
        numbering.shipment_number(number, 100)


async def test_a_transition_changes_the_row_records_the_step_and_its_event():
    delivery = await a_delivery()

    async with transaction():
        delivery = await transitions.lock_row(delivery.id)
        await transitions.apply_transition(delivery, Transition.ORDER, "staff")

    assert await delivery_state(delivery.id) == "ordered" == delivery.state
    assert await moves_of(delivery.id) == ["to_send", "ordered"]
    assert await recorded_states(delivery.id) == ["ordered"]


async def test_a_move_that_is_not_in_the_table_changes_nothing():
    delivery = await a_delivery(state=D.SIGNED)

    with pytest.raises(DeliveryTransitionRefused):
        async with transaction():
            await transitions.apply_transition(await transitions.lock_row(delivery.id), Transition.CANCEL, "chosen")

    assert await moves_of(delivery.id) == ["signed"]


async def test_a_couriers_words_never_lead_back():
    delivery = (await a_shipment(state=D.OUT_FOR_DELIVERY)).delivery
    at = clock.now()

    async with transaction():
        delivery = await transitions.lock_row(delivery.id)
        states = (D.IN_TRANSIT, D.SIGNED, D.RETURNED)
        advanced = [await transitions.advance(delivery, state, "sf", at) for state in states]

    assert advanced == [False, True, False]
    assert await moves_of(delivery.id) == ["out_for_delivery", "signed"]
    row = await fetch_row("SELECT at, actor FROM delivery_transitions WHERE to_state = 'signed'")
    assert row is not None
    assert (row["at"], row["actor"]) == (at, "system:-")


async def test_another_residents_delivery_is_not_found():
    delivery = await a_delivery()

    assert (await transitions.get_row(delivery.number, owner=delivery.resident_id)).id == delivery.id
    for other in ({"owner": delivery.id}, {"department": delivery.id}):
        with pytest.raises(DeliveryNotFound):
            await transitions.get_row(delivery.number, **other)


async def test_a_step_outside_a_transaction_is_a_mistake():
    delivery = await a_delivery()

    for wrong in (
        transitions.lock_row(delivery.id),
        transitions.lock_rows([]),
        transitions.record_step(delivery.id, None, "x", "y"),
    ):
        with pytest.raises(RuntimeError):
            await wrong
