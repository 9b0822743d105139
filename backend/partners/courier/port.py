"""What the service needs of every courier: order, label, subscribe, query, and verify pushes.

Times in payloads carry no zone and are read as Asia/Shanghai. Codes are kept as received; `status` is our word for
them by the mapping tables beside the adapters (`*.toml`), `other` for an unlisted code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from backend.errors import Malformed, Unauthenticated
from backend.partners.errors import (
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    Remedy,
    WithReason,
)

__all__ = [
    "CourierAddressRefused",
    "CourierOrderRefused",
    "CourierPush",
    "CourierPushInvalid",
    "CourierPushSignatureInvalid",
    "CourierTooSoon",
    "CourierWaybillNotFound",
    "Node",
    "OrderedParcel",
    "Ordering",
    "ParcelOrder",
    "PartnerBusy",
    "PartnerError",
    "PartnerMisconfigured",
    "PartnerRefused",
    "PartnerUnreachable",
    "Party",
    "PushAnswer",
    "Remedy",
    "Track",
    "Tracking",
    "TrackingRequest",
]


class Party(Struct, frozen=True, kw_only=True):
    """A sender or receiver. `region` is the names from the province down: `("吉林省", "长春市", "南关区")`."""

    name: str
    phone: str
    region: tuple[str, ...]
    street: str


class ParcelOrder(Struct, frozen=True, kw_only=True):
    """A parcel to be ordered. The same number must always come with the same content."""

    number: str
    sender: Party
    receiver: Party
    contents: str
    collect: bool = False
    """The courier takes the postage from the receiver (到付)."""


class OrderedParcel(Struct, frozen=True):
    """The courier will collect it; `label` is its data or its address, when the courier gave one."""

    waybill: str
    label: str | None = None


class TrackingRequest(Struct, frozen=True, kw_only=True):
    """The parcel to track. `company` in kuaidi100's lower-case words; `phone_tail` where the company wants it."""

    waybill: str
    company: str
    phone_tail: str | None = None


class Node(Struct, frozen=True, kw_only=True):
    """One node of a journey as the courier reported it."""

    status: str
    """A value of models.shipments.TrackStatus."""
    raw_code: str
    raw_text: str
    event_at: datetime
    place: str = ""
    region_code: str | None = None
    identity: str | None = None
    """The courier's own id of the node, where it has one."""


class Track(Struct, frozen=True, kw_only=True):
    """What a courier reports about one parcel, in a push or in answer to a query."""

    waybill: str
    company: str
    nodes: tuple[Node, ...]
    """In any order; the whole journey when `complete`, otherwise what is new."""
    complete: bool
    order_number: str | None = None
    """Our number, where the courier repeats it."""
    ended: bool = False
    """The tracker will send no more (signed for, or given up)."""
    given_up: bool = False
    """The tracker stopped without an end: nothing found for three days, nothing moved for sixty."""
    corrected_company: str | None = None
    """The company that the tracker found instead of ours."""


class CourierPush(Struct, frozen=True, kw_only=True):
    """One push, read and (where the partner signs) verified."""

    identity: str
    """The same for every repeat of one push: the partner's id, or a digest of what makes it this one."""
    signed: bool
    """False where the partner signs nothing: then "signed for" counts only after a query."""
    tracks: tuple[Track, ...]
    plaintext: str
    """What was pushed, kept sealed."""


class PushAnswer(Struct, frozen=True):
    """The answer the partner expects."""

    body: bytes
    content_type: str
    status: int = 200


class CourierPushSignatureInvalid(WithReason, Unauthenticated):
    """The signature of a push is missing or wrong. `why` is for the log."""

    title = "推送签名无效"


class CourierPushInvalid(WithReason, Malformed):
    """The push cannot be read: not the form, the JSON or the XML that it should be."""

    title = "推送内容无法识别"


class CourierOrderRefused(PartnerRefused):
    """The courier does not take the order."""

    title = "快递公司未接受该订单"


class CourierAddressRefused(CourierOrderRefused):
    """The courier does not go there, or cannot read the address."""

    title = "快递公司无法送达该地址"


class CourierWaybillNotFound(PartnerRefused):
    """The partner does not know the number (yet)."""

    title = "暂无物流信息"


class CourierTooSoon(PartnerBusy):
    """A query before the courier's minimum interval was over."""

    title = "查询过于频繁，请稍后再试"


class Ordering(Protocol):
    """A courier with whom parcels can be ordered."""

    name: str
    company: str

    async def order(self, parcel: ParcelOrder) -> OrderedParcel:
        """Order the collection. Safe to repeat with the same number and content: the same waybill comes back.

        Raises CourierAddressRefused, CourierOrderRefused, PartnerBusy, PartnerUnreachable, PartnerMisconfigured.
        """
        ...

    async def cancel(self, number: str, waybill: str) -> None:
        """Cancel the collection; repeating is fine. Raises CourierOrderRefused when it is too late."""
        ...

    async def label(self, number: str, waybill: str) -> str | None:
        """The label (data or address); None where the courier prints it."""
        ...


class Tracking(Protocol):
    """A source of tracking data."""

    name: str
    signs: bool
    """Whether its pushes carry a signature that we check."""
    pushes: bool
    """Whether it pushes at all; otherwise it is only queried."""
    query_seconds: float
    """The least time between two queries about one parcel."""

    async def subscribe(self, parcel: TrackingRequest) -> None:
        """Subscribe to its pushes; being subscribed already is fine. A partner that needs no subscription does nothing.

        Raises CourierWaybillNotFound, PartnerRefused, PartnerBusy, PartnerUnreachable, PartnerMisconfigured.
        """
        ...

    async def query(self, parcel: TrackingRequest) -> Track:
        """The whole journey as the partner knows it. Raises CourierWaybillNotFound, CourierTooSoon, PartnerBusy,
        PartnerUnreachable, PartnerMisconfigured."""
        ...

    def open_push(self, headers: Mapping[str, str], body: bytes) -> CourierPush:
        """Read a push: form, JSON or XML as the partner sends it, signature over the raw parameter.

        Raises CourierPushSignatureInvalid, CourierPushInvalid; never anything else, for any input.
        """
        ...

    def answer(self, push: CourierPush | None, *, accepted: bool, refused: Sequence[str] = ()) -> PushAnswer:
        """The answer the partner expects when we accepted the push, or did not (then it comes again)."""
        ...
