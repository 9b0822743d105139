"""The document of a case comes home as its guide offers, when the case has come so far, and not when it never will."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backend import jobs, partners
from backend.cases import deliveries
from backend.cases.errors import CaseNotFound
from backend.database import execute, fetch_value, transaction
from backend.deliveries.choosing import DeliveryChoice
from backend.deliveries.errors import DeliveryAlreadyChosen, DeliveryNotFound, DeliveryNotOffered
from backend.events import record
from backend.identity.principals import AsResident
from models.cases import Case
from models.deliveries import DeliveryState, Method, Postage
from tests.factories.appointments import somebody
from tests.factories.cases import PHONE, a_case, a_resident_with_phone, reported
from tests.factories.catalogue import a_published_item
from tests.factories.deliveries import a_delivery, a_pickup_point, an_address, delivery_state, moves_of
from tests.factories.regions import a_hall
from tests.factories.till import Till, with_tills

BY_POST = [{"name": "居住证", "delivery": ["post", "pickup"]}, {"name": "回执", "delivery": ["electronic"]}]


@pytest.fixture(autouse=True)
def till() -> Iterator[None]:
    """A payment channel to be queried, and no delivery of messages."""
    with_tills(Till())
    yield
    partners.equip(None)


async def a_postable_case(*codes: str, **guide: Any) -> tuple[AsResident, Case]:
    """A case whose guide offers its document by post and at a counter, and the resident who sees it."""
    resident = await a_resident_with_phone(PHONE)
    case = await a_case(item_code=await a_published_item(**{"outcomes": BY_POST, **guide}))
    if codes:
        await reported(case, *codes)
    await jobs.drain()
    return resident, case


async def by_post(resident: AsResident) -> DeliveryChoice:
    return DeliveryChoice(method=Method.POST, address_id=(await an_address(resident)).id)


async def happened(case: Case, *codes: str) -> None:
    await reported(case, *codes)
    await jobs.drain()


async def test_the_guide_says_what_is_sent_and_how():
    resident, case = await a_postable_case("受理")

    offer = await deliveries.offer_delivery(resident, case.number)

    assert (offer.contents, offer.methods, offer.ready) == ("居住证", frozenset(Method), False)
    assert (offer.subject_kind, offer.subject_id) == ("case", case.id)
    with pytest.raises(CaseNotFound):
        await deliveries.offer_delivery(await somebody(), case.number)


async def test_what_one_hall_gives_out_is_sent_from_there_and_of_several_it_is_unknown():
    one, two = (await a_hall()).id, (await a_hall()).id
    resident, case = await a_postable_case("受理", "决定", hall_ids=[one])
    other = await a_case(item_code=await a_published_item(outcomes=BY_POST, hall_ids=[one, two]))
    await jobs.drain()

    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))

    assert await fetch_value("SELECT hall_id FROM deliveries WHERE id = $1", chosen.id) == one
    assert (await deliveries.offer_delivery(resident, other.number)).hall_id is None


async def test_a_guide_without_post_and_counter_offers_nothing():
    resident, case = await a_postable_case("受理", outcomes=[{"name": "津贴", "delivery": ["electronic"]}])

    with pytest.raises(DeliveryNotOffered):
        await deliveries.choose_delivery(resident, case.number, await by_post(resident))


async def test_a_case_of_an_item_that_we_do_not_have_offers_nothing():
    resident = await a_resident_with_phone(PHONE)
    case = await a_case()

    with pytest.raises(DeliveryNotOffered):
        await deliveries.offer_delivery(resident, case.number)


@pytest.mark.parametrize("decided", ["准予许可", "制证", "办结"])
async def test_what_was_chosen_early_goes_on_with_the_decision(decided: str):
    resident, case = await a_postable_case("受理")
    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))
    assert chosen.state is DeliveryState.WAITING

    await happened(case, decided)

    assert await delivery_state(chosen.id) == "to_send", await fetch_value("SELECT state FROM cases")


async def test_what_is_chosen_after_the_decision_is_to_be_sent_at_once():
    resident, case = await a_postable_case("受理", "准予许可")

    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))

    assert chosen.state is DeliveryState.TO_SEND
    assert [each.id for each in await deliveries.list_case_deliveries(resident, case.number)] == [chosen.id]
    with pytest.raises(DeliveryAlreadyChosen):
        await deliveries.choose_delivery(resident, case.number, await by_post(resident))


@pytest.mark.parametrize("ended", ["不予许可", "撤回"])
async def test_a_case_that_ends_without_a_document_sends_nothing(ended: str):
    resident, case = await a_postable_case("受理")
    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))

    await happened(case, ended)

    assert await delivery_state(chosen.id) == "cancelled", await fetch_value("SELECT state FROM cases")
    with pytest.raises(DeliveryNotOffered):
        await deliveries.offer_delivery(resident, case.number)


async def test_the_resident_changes_their_mind_about_the_case_and_nothing_else():
    resident, case = await a_postable_case("受理")
    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))
    counter = DeliveryChoice(method=Method.PICKUP, pickup_point_id=(await a_pickup_point()).id)

    changed = await deliveries.change_delivery(resident, chosen.number, counter, couriers={})

    assert (changed.method, changed.state) == (Method.PICKUP, DeliveryState.WAITING)
    of_a_licence = await a_delivery(resident, subject_kind="licence")
    for which, who in ((of_a_licence.id, resident), (chosen.id, await somebody())):
        with pytest.raises(DeliveryNotFound):
            await deliveries.change_delivery(who, which, counter, couriers={})


async def test_a_guide_that_charges_for_posting_is_followed():
    charge = {
        "ref": "postage", "name": "邮寄费", "amount_fen": 1500, "per": "件", "basis": ["law-33"], "when": "选择邮寄的",
    }  # fmt: skip
    resident, case = await a_postable_case("受理", "准予许可", fee={"free": False, "charges": [charge]})

    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))

    assert (chosen.postage, chosen.postage_fen, chosen.state) == (Postage.RESIDENT, 1500, DeliveryState.WAITING)
    assert await fetch_value("SELECT name FROM fees WHERE subject_kind = 'delivery'") == "邮寄费"
    assert await fetch_value("SELECT count(*) FROM fees WHERE subject_kind = 'case'") == 0


async def test_postage_that_every_applicant_pays_with_the_case_is_not_asked_for_twice():
    charge = {"ref": "postage", "name": "邮寄费", "amount_fen": 1500, "per": "件", "basis": ["law-33"]}
    resident, case = await a_postable_case("受理", "准予许可", fee={"free": False, "charges": [charge]})

    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))

    assert (chosen.postage, chosen.state) == (Postage.OFFICE, DeliveryState.TO_SEND)


async def test_a_case_that_is_another_residents_after_all_sends_nothing_to_the_wrong_person():
    resident, case = await a_postable_case("受理")
    chosen = await deliveries.choose_delivery(resident, case.number, await by_post(resident))

    async with transaction():
        await execute("UPDATE cases SET resident_id = NULL WHERE id = $1", case.id)
        await record(deliveries.CaseUnlinked(case_id=case.id, resident_id=resident.id))
    await jobs.drain()

    assert await moves_of(chosen.id) == ["waiting", "cancelled"]
