"""Ordering at 顺丰: the order, its cancellation, its label. Field names are those of public samples [recalled]."""

from __future__ import annotations

from typing import Any

from backend.partner_settings.couriers.sf import SfSettings
from backend.partners.courier.port import (
    CourierAddressRefused,
    CourierOrderRefused,
    OrderedParcel,
    ParcelOrder,
    PartnerBusy,
    Party,
)
from backend.partners.courier.reading import group, groups, text
from backend.partners.courier.replies import places, reading_answer
from backend.partners.courier.sf_calls import SfCalls
from backend.partners.courier.tables import FINE, Table
from backend.settings import Settings

_LANGUAGE = "zh-CN"


class SfOrders:
    """What `Sf` does with orders. Our number is their `orderId`, which they take once."""

    def __init__(self, calls: SfCalls, table: Table, values: Settings) -> None:
        self._calls = calls
        self._table = table
        self._values = values.of(SfSettings)

    async def order(self, parcel: ParcelOrder) -> OrderedParcel:
        """Ordered before under this number: the waybill of then is looked up."""
        meaning, inner = await self._calls.ask("order", self._content(parcel), otherwise=CourierOrderRefused)
        if meaning == "again":
            wanted = {"language": _LANGUAGE, "orderId": parcel.number, "searchType": "1"}
            _, inner = await self._calls.ask("find", wanted, otherwise=CourierOrderRefused)
        with reading_answer("sf"):
            return self._ordered(group(inner.get(self._table.names["content"]), "content"))

    async def cancel(self, number: str, waybill: str) -> None:
        content = {
            "language": _LANGUAGE,
            "orderId": number,
            "dealType": 2,
            "waybillNoInfoList": [{"waybillType": 1, "waybillNo": waybill}],
        }
        await self._calls.ask("change", content, otherwise=CourierOrderRefused)

    async def label(self, number: str, waybill: str) -> str | None:
        """Its address; what must be sent as `X-Auth-token` to fetch it stands behind `#token=`."""
        if not self._values.sf_label_template:
            return None
        content = {
            "templateCode": self._values.sf_label_template,
            "version": "2.0",
            "fileType": "pdf",
            "sync": True,
            "documents": [{"masterWaybillNo": waybill}],
        }
        _, inner = await self._calls.ask("label", content, otherwise=CourierOrderRefused)
        with reading_answer("sf"):
            files = groups(
                group(inner.get("obj") or inner.get(self._table.names["content"]), "obj").get("files"), "files"
            )
            if not files or not (url := text(files[0], "url")):
                raise PartnerBusy("sf", "no-label")
            token = text(files[0], "token")
            return f"{url}#token={token}" if token else url

    def _content(self, parcel: ParcelOrder) -> dict[str, Any]:
        payer = self._table.names["pay_receiver" if parcel.collect else "pay_sender"]
        content = {
            "language": _LANGUAGE,
            "orderId": parcel.number,
            "contactInfoList": [_contact(1, parcel.sender), _contact(2, parcel.receiver)],
            "cargoDetails": [{"name": parcel.contents, "count": 1}],
            "expressTypeId": _number(self._values.sf_express_type),
            "payMethod": _number(payer),
            "parcelQty": 1,
            "isReturnRoutelabel": 1,
        }
        if self._values.sf_monthly_card and not parcel.collect:
            content["monthlyCard"] = self._values.sf_monthly_card
        return content

    def _ordered(self, said: dict[str, Any]) -> OrderedParcel:
        filtered = text(said, "filterResult")
        meaning = self._table.meaning("filter", filtered) if filtered else "ok"
        if meaning == "address":
            raise CourierAddressRefused("sf", f"filter-{filtered}"[:32], text(said, "remark"))
        numbers = [
            text(each, "waybillNo") for each in _mothers_first(groups(said.get("waybillNoInfoList"), "waybills"))
        ]
        if numbers and numbers[0]:
            return OrderedParcel(numbers[0])
        if meaning not in FINE:
            raise self._table.error(meaning, f"filter-{filtered}", otherwise=CourierOrderRefused)
        raise PartnerBusy("sf", "no-waybill")


def _mothers_first(waybills: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(waybills, key=lambda each: text(each, "waybillType") != "1")


def _contact(kind: int, party: Party) -> dict[str, Any]:
    province, city, county, street = places(party)
    return {
        "contactType": kind,
        "contact": party.name,
        "mobile": party.phone,
        "country": "CN",
        "province": province,
        "city": city,
        "county": county,
        "address": street,
    }


def _number(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdecimal() else value
