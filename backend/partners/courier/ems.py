"""EMS (中国邮政) through api.ems.com.cn: orders, labels, traces. It is queried; its pushes have no public format.

Source: the index of its open platform and public clients. The field that carries the sealed content is misspelt on
the wire: `logitcsInterface`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from backend import clock
from backend.partner_settings.couriers.ems import EmsSettings
from backend.partners.base import PartnerClient, Repeat, Reply, Wire
from backend.partners.bodies import at
from backend.partners.checking import Fault
from backend.partners.courier.port import (
    CourierOrderRefused,
    CourierPush,
    CourierPushInvalid,
    CourierWaybillNotFound,
    Node,
    OrderedParcel,
    ParcelOrder,
    PartnerBusy,
    PartnerError,
    PartnerRefused,
    Party,
    PushAnswer,
    Track,
    TrackingRequest,
)
from backend.partners.courier.reading import groups, node, nodes, text
from backend.partners.courier.replies import answer_object, answer_of, form, places, reading_answer
from backend.partners.courier.signing import ems_key, ems_seal
from backend.partners.courier.tables import load
from backend.settings import Settings, SettingsError

COMPANY = "ems"


class Ems:
    """The ports `Ordering` and `Tracking` over EMS's HTTP interface, or the sandbox at another address."""

    name = "ems"
    company = COMPANY
    signs = False
    pushes = False

    def __init__(self, wire: Wire, values: Settings) -> None:
        """Raises SettingsError when the key cannot seal."""
        self._values = values.of(EmsSettings)
        ems_key(self._values.ems_sign_key)
        self._client = PartnerClient(self.name, self._values.ems_api_base, wire, values)
        self._table = load(self.name, values.courier_tables)
        self.query_seconds = self._values.ems_query_seconds

    @staticmethod
    def setting_faults(values: Settings) -> Iterator[Fault]:
        """A key that cannot seal."""
        if key := values.of(EmsSettings).ems_sign_key:
            try:
                ems_key(key)
            except SettingsError as error:
                yield "broken", "EMS_SIGN_KEY", str(error), "copy it from the courier's console"

    async def order(self, parcel: ParcelOrder) -> OrderedParcel:
        """Our number is their `logisticsOrderNo`."""
        body = await self._ask("order", [self._content(parcel)], otherwise=CourierOrderRefused)
        with reading_answer(self.name):
            told_of = body[0] if isinstance(body, list) and body else body
            number = text(told_of, "waybillNo") if isinstance(told_of, dict) else ""
            if not number:
                raise PartnerBusy(self.name, "no-waybill")
            return OrderedParcel(number)

    async def cancel(self, number: str, waybill: str) -> None:
        reason = self._table.names["cancel_reason"]
        content = [{"logisticsOrderNo": number, "waybillNo": waybill, "cancelReason": reason}]
        await self._ask("cancel", content, otherwise=CourierOrderRefused)

    async def label(self, number: str, waybill: str) -> str | None:
        """The address of a PDF, or the PDF itself as a data address."""
        content = {"waybillNo": waybill, "type": self._table.names["label_type"], "getURL": "1"}
        body = await self._ask("label", content, otherwise=CourierOrderRefused)
        said = body if isinstance(body, str) else next((v for v in _values(body) if isinstance(v, str) and v), "")
        if not said:
            raise PartnerBusy(self.name, "no-label")
        return said if said.startswith(("https://", "http://")) else f"data:application/pdf;base64,{said}"

    async def subscribe(self, parcel: TrackingRequest) -> None:
        """There is nothing to subscribe to."""

    async def query(self, parcel: TrackingRequest) -> Track:
        content = {"waybillNo": parcel.waybill, "direction": "0"}
        body = await self._ask("trace", content, repeat=Repeat.IF_NEVER_SENT)
        with reading_answer(self.name):
            entries = groups(body.get("responseItems") if isinstance(body, dict) else body, "responseItems")
            if not entries:
                raise CourierWaybillNotFound(self.name, "no-trace")
            found = nodes(self.name, entries, self._node)
            return Track(waybill=parcel.waybill, company=COMPANY, nodes=found, complete=True)

    def open_push(self, headers: Mapping[str, str], body: bytes) -> CourierPush:
        """Always CourierPushInvalid: it does not push."""
        raise CourierPushInvalid("this partner does not push")

    def answer(self, push: CourierPush | None, *, accepted: bool, refused: Sequence[str] = ()) -> PushAnswer:
        return PushAnswer(b'{"success":false}', "application/json", 404)

    # -- one call ------------------------------------------------------------------------------

    async def _ask(
        self,
        service: str,
        content: Any,
        *,
        repeat: Repeat = Repeat.ALWAYS,
        otherwise: type[PartnerError] = PartnerRefused,
    ) -> Any:
        def read(reply: Reply) -> Any:
            return self._read(reply, otherwise)

        fields = {
            "apiCode": self._table.names[service],
            "senderNo": self._values.ems_sender_no,
            "authorization": self._values.ems_authorization,
            "msgType": "0",
            "timeStamp": _written(clock.now()),
            "version": "V1.0.0",
            "logitcsInterface": ems_seal(msgspec.json.encode(content).decode(), self._values.ems_sign_key),
        }
        if self._values.ems_user_code:
            fields["userCode"] = self._values.ems_user_code
        return await self._client.send(service, form("", fields, repeat=repeat), read)

    def _read(self, reply: Reply, otherwise: type[PartnerError]) -> Any:
        """`retBody`, which is JSON as a text, JSON itself, or a bare text (a label)."""
        with reading_answer(self.name):
            answer = answer_of(self.name, reply)
            self._table.check("service", text(answer, "retCode"), text(answer, "retMsg"), otherwise=otherwise)
            body = answer.get("retBody", "")
            if isinstance(body, str) and body.lstrip().startswith(("{", "[")):
                return answer_object(self.name, f'{{"body":{body}}}')["body"]
            return body

    # -- contents ------------------------------------------------------------------------------

    def _content(self, parcel: ParcelOrder) -> dict[str, Any]:
        names = self._table.names
        return {
            "ecommerceUserId": parcel.number,
            "logisticsOrderNo": parcel.number,
            "createdTime": _written(clock.now()),
            "contentsAttribute": names["document"],
            "bizProductNo": names["collect_product"] if parcel.collect else self._values.ems_product,
            "sender": _party(parcel.sender),
            "receiver": _party(parcel.receiver),
            "cargos": [{"cargoName": parcel.contents, "cargoQuantity": 1}],
        }

    def _node(self, entry: Mapping[str, Any]) -> Node:
        code = text(entry, "opCode")
        return node(
            status=self._table.status(code),
            code=code,
            words=text(entry, "opDesc") or text(entry, "opName"),
            event_at=at(text(entry, "opTime")),
            place=text(entry, "opOrgProvName") + text(entry, "opOrgCity"),
        )


def _party(party: Party) -> dict[str, str]:
    province, city, county, street = places(party)
    return {
        "name": party.name,
        "mobile": party.phone,
        "prov": province,
        "city": city,
        "county": county,
        "address": street,
    }


def _written(moment: datetime) -> str:
    return moment.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _values(body: Any) -> list[Any]:
    if isinstance(body, list):
        return [value for each in body for value in _values(each)]
    return [body.get(name) for name in ("url", "labelUrl", "pdf", "data")] if isinstance(body, dict) else []
