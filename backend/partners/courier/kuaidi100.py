"""快递100: subscribe to a parcel, receive the full list at every change, query at most twice an hour.

Source: the vendor's documents of the tracking push and its Java demo. A push is signed over the raw decoded text of
its field `param` with the salt of the subscription; an empty salt signs too, but any sender can make that signature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from backend.partner_settings.couriers.kuaidi100 import Kuaidi100Settings
from backend.partners.base import PartnerClient, Reply, Wire
from backend.partners.bodies import at, form_fields, json_object
from backend.partners.checking import Fault
from backend.partners.courier.port import (
    CourierPush,
    CourierPushSignatureInvalid,
    CourierWaybillNotFound,
    Node,
    PartnerMisconfigured,
    PushAnswer,
    Track,
    TrackingRequest,
)
from backend.partners.courier.reading import (
    BOUNDS,
    company,
    digest,
    group,
    groups,
    node,
    nodes,
    rejecting_unreadable,
    same,
    text,
    waybill,
    with_state,
)
from backend.partners.courier.replies import answer_of, callback_address, form, reading_answer
from backend.partners.courier.signing import kuaidi100_signature
from backend.partners.courier.tables import load
from backend.settings import Settings

TAKEN = PushAnswer(b'{"result":true,"returnCode":"200","message":"\xe6\x88\x90\xe5\x8a\x9f"}', "application/json")
NOT_TAKEN = PushAnswer(b'{"result":false,"returnCode":"500","message":"\xe5\xa4\xb1\xe8\xb4\xa5"}', "application/json")


class Kuaidi100:
    """The port `Tracking` over 快递100's HTTP interface, or the sandbox at another address."""

    name = "kuaidi100"
    pushes = True

    def __init__(self, wire: Wire, values: Settings) -> None:
        own = self._values = values.of(Kuaidi100Settings)
        self._settings = values
        self._client = PartnerClient(self.name, own.kuaidi100_api_base, wire, values)
        self._table = load(self.name, values.courier_tables)
        self.signs = bool(own.kuaidi100_salt)
        self.query_seconds = own.kuaidi100_query_seconds

    @staticmethod
    def setting_faults(values: Settings) -> Iterator[Fault]:
        """A missing salt: the signature proves nothing then."""
        if not values.of(Kuaidi100Settings).kuaidi100_salt:
            what = "is not set: an empty salt can sign pushes for anyone, so none is trusted"
            yield "unsafe", "KUAIDI100_SALT", what, "choose a random one; it counts from the next subscription on"

    async def subscribe(self, parcel: TrackingRequest) -> None:
        """Subscribed already is fine."""
        if not self.signs and not self._settings.courier_push_token:
            raise PartnerMisconfigured(self.name, "no-push-address")
        parameters = {
            "callbackurl": callback_address(self._settings, self),
            "salt": self._values.kuaidi100_salt,
            "resultv2": self._values.kuaidi100_edition,
        }
        if parcel.phone_tail:
            parameters["phone"] = parcel.phone_tail
        content = {
            "company": parcel.company,
            "number": parcel.waybill,
            "key": self._values.kuaidi100_key,
            "parameters": parameters,
        }
        fields = {"schema": "json", "param": msgspec.json.encode(content).decode()}
        await self._client.send("subscribe", form("/poll", fields), self._subscribed)

    async def query(self, parcel: TrackingRequest) -> Track:
        content = {
            "com": parcel.company,
            "num": parcel.waybill,
            "phone": parcel.phone_tail or "",
            "resultv2": self._values.kuaidi100_edition,
        }
        param = msgspec.json.encode(content).decode()
        sign = kuaidi100_signature(param, self._values.kuaidi100_key, self._values.kuaidi100_customer)
        fields = {"customer": self._values.kuaidi100_customer, "sign": sign, "param": param}
        return await self._client.send("query", form("/poll/query.do", fields), self._found)

    def open_push(self, headers: Mapping[str, str], body: bytes) -> CourierPush:
        with rejecting_unreadable():
            fields = form_fields(body, BOUNDS)
            if not (param := fields.get("param")):
                raise CourierPushSignatureInvalid("no param")
            made = kuaidi100_signature(param, self._values.kuaidi100_salt)
            if not same(fields.get("sign", "").upper(), made):
                raise CourierPushSignatureInvalid("sign")
            track = self._pushed(json_object(param, BOUNDS))
            return CourierPush(identity=digest(param), signed=self.signs, tracks=(track,), plaintext=param)

    def answer(self, push: CourierPush | None, *, accepted: bool, refused: Sequence[str] = ()) -> PushAnswer:
        """What is not taken comes again after half an hour, three times."""
        return TAKEN if accepted and not refused else NOT_TAKEN

    # -- what they say -------------------------------------------------------------------------

    def _subscribed(self, reply: Reply) -> None:
        with reading_answer(self.name):
            answer = answer_of(self.name, reply)
            self._table.check("subscribe", text(answer, "returnCode"), text(answer, "message"))

    def _found(self, reply: Reply) -> Track:
        with reading_answer(self.name):
            answer = answer_of(self.name, reply)
            code = text(answer, "returnCode") or text(answer, "status")
            self._table.check("query", code, text(answer, "message"))
            track = self._track(answer, ended=text(answer, "ischeck") == "1")
            if not track.nodes:
                raise CourierWaybillNotFound(self.name, "no-data", text(answer, "message"))
            return track

    def _pushed(self, said: Mapping[str, Any]) -> Track:
        """The track of a push. An abort with another company is no end: pushes go on under that one."""
        last = group(said.get("lastResult"), "lastResult")
        status, old, new = text(said, "status"), text(said, "comOld"), text(said, "comNew")
        corrected = company(new) if new and new != (old or text(last, "com")) else None
        given_up = status == "abort" and corrected is None
        track = self._track(last, ended=status == "shutdown" or given_up)
        if corrected is None:
            return msgspec.structs.replace(track, given_up=given_up)
        before = company(old) if old else track.company
        return msgspec.structs.replace(track, company=before, corrected_company=corrected)

    def _track(self, last: Mapping[str, Any], *, ended: bool) -> Track:
        entries = groups(last.get("data"), "data")
        found, state = nodes(self.name, entries, self._node), text(last, "state")
        return Track(
            waybill=waybill(text(last, "nu")),
            company=company(text(last, "com")),
            nodes=with_state(found, state, self._table.status(state)),
            complete=True,
            ended=ended,
        )

    def _node(self, entry: Mapping[str, Any]) -> Node:
        code = text(entry, "statusCode") or text(entry, "status")
        area = text(entry, "areaCode").removeprefix("CN")
        return node(
            status=self._table.status(code),
            code=code,
            words=text(entry, "context"),
            event_at=at(text(entry, "ftime") or text(entry, "time")),
            place=text(entry, "location") or text(entry, "areaName").replace(",", ""),
            region=area if area.isascii() and area.isdecimal() and len(area) in (6, 12) else None,
        )
