"""快递鸟: subscribe to a parcel, receive the full list in pushes, query.

Source: the vendor's documents of the push and public clients. `DataSign` is base64 over hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any
from urllib.parse import unquote

import msgspec

from backend import clock
from backend.partner_settings.couriers.kdniao import KdniaoSettings
from backend.partners.base import PartnerClient, Reply, Wire
from backend.partners.bodies import Unreadable, at, form_fields, json_object
from backend.partners.courier.port import (
    CourierPush,
    CourierPushSignatureInvalid,
    CourierWaybillNotFound,
    Node,
    PartnerBusy,
    PushAnswer,
    Track,
    TrackingRequest,
)
from backend.partners.courier.reading import (
    BOUNDS,
    company,
    digest,
    groups,
    node,
    nodes,
    rejecting_unreadable,
    same,
    text,
    waybill,
    with_state,
)
from backend.partners.courier.replies import answer_of, form, reading_answer
from backend.partners.courier.signing import kdniao_signature
from backend.partners.courier.tables import FINE, load
from backend.settings import Settings


class Kdniao:
    """The port `Tracking` over 快递鸟's HTTP interface, or the sandbox at another address."""

    name = "kdniao"
    pushes = True

    def __init__(self, wire: Wire, values: Settings) -> None:
        own = self._values = values.of(KdniaoSettings)
        self._client = PartnerClient(self.name, own.kdniao_api_base, wire, values)
        self._table = load(self.name, values.courier_tables)
        self.signs = own.kdniao_push_signed and bool(own.kdniao_app_key)
        self.query_seconds = own.kdniao_query_seconds

    async def subscribe(self, parcel: TrackingRequest) -> None:
        """Subscribed already is fine."""
        await self._client.send(
            "subscribe", self._request(self._values.kdniao_subscribe_type, parcel), self._subscribed
        )

    async def query(self, parcel: TrackingRequest) -> Track:
        return await self._client.send("query", self._request(self._values.kdniao_query_type, parcel), self._found)

    def open_push(self, headers: Mapping[str, str], body: bytes) -> CourierPush:
        """A signature that is there has to be right, whether or not it has to be there."""
        with rejecting_unreadable():
            fields = form_fields(body, BOUNDS)
            if not (data := fields.get("RequestData")):
                raise CourierPushSignatureInvalid("no RequestData")
            # Some of their senders encode the signature once more than the form does; base64 has no percent sign.
            given = unquote(fields.get("DataSign", ""))
            signed = bool(given and self._values.kdniao_app_key)
            if (given or self.signs) and not same(given, kdniao_signature(data, self._values.kdniao_app_key)):
                raise CourierPushSignatureInvalid("DataSign")
            if fields.get("RequestType", "") not in ("", *self._table.names["push_types"].split(",")):
                raise Unreadable("another RequestType")
            said = json_object(data, BOUNDS)
            if not same(text(said, "EBusinessID"), self._values.kdniao_business_id):
                raise CourierPushSignatureInvalid("EBusinessID")
            parcels = groups(said.get("Data"), "Data")
            if not parcels:
                raise Unreadable("no Data")
            tracks = tuple(self._track(each) for each in parcels)
            return CourierPush(identity=digest(parcels), signed=signed, tracks=tracks, plaintext=data)

    def answer(self, push: CourierPush | None, *, accepted: bool, refused: Sequence[str] = ()) -> PushAnswer:
        words = Template(self._table.names["taken" if accepted and not refused else "not_taken"])
        now = clock.now().astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        filled = words.safe_substitute(business_id=self._values.kdniao_business_id, time=now)
        return PushAnswer(filled.encode(), "application/json; charset=utf-8")

    # -- what we say ---------------------------------------------------------------------------

    def _request(self, kind: str, parcel: TrackingRequest) -> Any:
        theirs = self._table.their_company(parcel.company)
        content = {"ShipperCode": theirs, "LogisticCode": parcel.waybill}
        if parcel.phone_tail and theirs in self._table.names["wants_phone"].split(","):
            content["CustomerName"] = parcel.phone_tail
        data = msgspec.json.encode(content).decode()
        fields = {
            "RequestData": data,
            "EBusinessID": self._values.kdniao_business_id,
            "RequestType": kind,
            "DataSign": kdniao_signature(data, self._values.kdniao_app_key),
            "DataType": "2",
        }
        return form("", fields)

    # -- what they say -------------------------------------------------------------------------

    def _subscribed(self, reply: Reply) -> None:
        with reading_answer(self.name):
            self._check(answer_of(self.name, reply))

    def _found(self, reply: Reply) -> Track:
        with reading_answer(self.name):
            answer = answer_of(self.name, reply)
            self._check(answer)
            track = self._track(answer)
            if not track.nodes:
                raise CourierWaybillNotFound(self.name, "no-traces", text(answer, "Reason"))
            return track

    def _check(self, answer: Mapping[str, Any]) -> None:
        """Answers have no code: a part of the words decides. Raises the table's error."""
        if text(answer, "Success") == "true":
            return
        if not (reason := text(answer, "Reason")):
            raise PartnerBusy(self.name, "no-reason")
        known = self._table.answers["reasons"]
        meaning = next((meaning for part, meaning in known.items() if part in reason), "refused")
        if meaning not in FINE:
            raise self._table.error(meaning, "reason", reason)

    def _track(self, said: Mapping[str, Any]) -> Track:
        found = nodes(self.name, groups(said.get("Traces"), "Traces"), self._node)
        state = text(said, "StateEx") or text(said, "State")
        return Track(
            waybill=waybill(text(said, "LogisticCode")),
            company=company(self._table.company(text(said, "ShipperCode"))),
            nodes=with_state(found, state, self._table.status(state)),
            complete=True,
            order_number=text(said, "OrderCode")[:64] or None,
        )

    def _node(self, entry: Mapping[str, Any]) -> Node:
        code = text(entry, "Action")
        return node(
            status=self._table.status(code),
            code=code,
            words=text(entry, "AcceptStation"),
            event_at=at(text(entry, "AcceptTime")),
            place=text(entry, "Location"),
        )
