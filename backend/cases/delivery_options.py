"""What a resident may choose for the document of a case, and what it would cost."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from backend.cases import deliveries
from backend.deliveries import METHOD_NAMES, POSTAGE_NAMES, acting, addresses, postage
from backend.deliveries.errors import AddressNotFound
from backend.identity import AsResident
from backend.settings import settings
from models.deliveries import Method, Postage


class MethodOffered(Struct, frozen=True):
    """A way in which it may come."""

    method: Method
    name: str


class PostageQuoted(Struct, frozen=True, kw_only=True):
    """Who would pay the courier for sending it to this address, and how much in advance."""

    address_id: UUID
    postage: Postage
    name: str
    fen: int
    basis: str
    collect_possible: bool
    """Whether the resident may rather pay the courier at the door (到付)."""


class DeliveryOptions(Struct, frozen=True, kw_only=True):
    """What is offered for one case. `ready`: it exists already. `quote` needs an address."""

    contents: str
    ready: bool
    methods: list[MethodOffered]
    quote: PostageQuoted | None


async def list_delivery_options(
    resident: AsResident, number: str, *, person_id: UUID | None = None, address_id: UUID | None = None
) -> DeliveryOptions:
    """What may be chosen now; the quote is for this address, or for the default one if there is any.

    Raises DeliveryReceiverNotFound, CaseNotFound, AddressNotFound, DeliveryNotOffered.
    """
    person = await acting.person_for(resident, person_id)
    offer = await deliveries.offer_delivery(person, number)
    known = await addresses.list_addresses(person)
    chosen = next((each for each in known if each.id == address_id or (address_id is None and each.is_default)), None)
    if address_id is not None and chosen is None:
        raise AddressNotFound
    quote = None
    if chosen is not None and Method.POST in offer.methods:
        quoted = await postage.quote_postage(offer.charge, offer.department_id, chosen.region_code)
        quote = PostageQuoted(
            address_id=chosen.id,
            postage=quoted.postage,
            name=POSTAGE_NAMES[quoted.postage],
            fen=quoted.fen,
            basis=quoted.basis,
            collect_possible=quoted.postage is Postage.RESIDENT and settings().postage_collect,
        )
    ways = [MethodOffered(each, METHOD_NAMES[each]) for each in sorted(offer.methods)]
    return DeliveryOptions(contents=offer.contents, ready=offer.ready, methods=ways, quote=quote)
