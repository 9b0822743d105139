"""顺丰 through 丰桥: orders, routes by query, and routes that are pushed, new nodes only, JSON or XML.

Source: the open platform's page and public samples. A push carries no signature at all: it comes to an address that
cannot be guessed, and its report of a signature counts only after a query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus
from xml.sax.saxutils import quoteattr

from backend.partner_settings.couriers.sf import SfSettings
from backend.partners.base import Repeat, Wire
from backend.partners.bodies import Unreadable, at, form_fields, json_object, text_of, xml_fields
from backend.partners.courier.port import (
    CourierPush,
    CourierWaybillNotFound,
    Node,
    OrderedParcel,
    ParcelOrder,
    PushAnswer,
    Track,
    TrackingRequest,
)
from backend.partners.courier.reading import (
    BOUNDS,
    digest,
    group,
    groups,
    node,
    nodes,
    rejecting_unreadable,
    text,
    waybill,
)
from backend.partners.courier.replies import reading_answer
from backend.partners.courier.sf_calls import SfCalls
from backend.partners.courier.sf_orders import SfOrders
from backend.partners.courier.tables import load
from backend.settings import Settings

COMPANY = "shunfeng"
_JSON, _XML = "application/json; charset=utf-8", "text/xml; charset=utf-8"


class Sf:
    """The ports `Ordering` and `Tracking` over 丰桥's HTTP interface, or the sandbox at another address."""

    name = "sf"
    company = COMPANY
    signs = False
    pushes = True

    def __init__(self, wire: Wire, values: Settings) -> None:
        self._table = load(self.name, values.courier_tables)
        self._calls = SfCalls(wire, values, self._table)
        self._orders = SfOrders(self._calls, self._table, values)
        self.query_seconds = values.of(SfSettings).sf_query_seconds

    async def order(self, parcel: ParcelOrder) -> OrderedParcel:
        return await self._orders.order(parcel)

    async def cancel(self, number: str, waybill: str) -> None:
        await self._orders.cancel(number, waybill)

    async def label(self, number: str, waybill: str) -> str | None:
        return await self._orders.label(number, waybill)

    async def subscribe(self, parcel: TrackingRequest) -> None:
        """What was ordered with us is pushed to us by itself."""

    async def query(self, parcel: TrackingRequest) -> Track:
        content = {
            "language": "0",
            "trackingType": "1",
            "trackingNumber": [parcel.waybill],
            "methodType": "1",
            "checkPhoneNo": parcel.phone_tail or "",
        }
        _, inner = await self._calls.ask("routes", content, repeat=Repeat.IF_NEVER_SENT)
        with reading_answer(self.name):
            names = self._table.names
            answers = groups(group(inner.get(names["content"]), "content").get(names["answers"]), "answers")
            of_it = [each for each in answers if text(each, names["waybill"]) == parcel.waybill]
            entries = [entry for each in of_it for entry in groups(each.get(names["nodes"]), "nodes")]
            if not entries:
                raise CourierWaybillNotFound(self.name, "no-routes")
            found = nodes(self.name, entries, self._node)
            return Track(waybill=parcel.waybill, company=COMPANY, nodes=found, complete=True)

    def open_push(self, headers: Mapping[str, str], body: bytes) -> CourierPush:
        with rejecting_unreadable():
            plain, said = _read(body)
            routes = groups(group(said.get("Body"), "Body").get("WaybillRoute"), "WaybillRoute")
            if not routes:
                raise Unreadable("no WaybillRoute")
            return CourierPush(identity=digest(routes), signed=False, tracks=self._tracks(routes), plaintext=plain)

    def answer(self, push: CourierPush | None, *, accepted: bool, refused: Sequence[str] = ()) -> PushAnswer:
        """In the manner of the push; only XML can take some nodes and refuse others."""
        if push is None or not push.plaintext.lstrip().startswith("<"):
            fine = accepted and not refused
            code, words = ("0000", "成功") if fine else ("1000", "系统异常")
            return PushAnswer(f'{{"return_code":"{code}","return_msg":"{words}"}}'.encode(), _JSON)
        if not accepted:
            return _xml('<Head>ERR</Head><ERROR code="4001">系统异常</ERROR>')
        if not refused and self._table.names["lists_ids"] != "yes":
            return _xml("<Head>OK</Head>")
        ids = [each.identity for track in push.tracks for each in track.nodes if each.identity]
        listed = quoteattr(",".join(each for each in ids if each not in refused))
        errors = f" id_error={quoteattr(','.join(refused))}" if refused else ""
        return _xml(f"<Head>OK</Head><Body><WaybillRouteResponse id={listed}{errors}/></Body>")

    def _tracks(self, routes: Sequence[dict[str, Any]]) -> tuple[Track, ...]:
        by_waybill: dict[str, list[dict[str, Any]]] = {}
        for each in routes:
            by_waybill.setdefault(waybill(text(each, "mailno")), []).append(each)
        return tuple(
            Track(
                waybill=number,
                company=COMPANY,
                nodes=nodes(self.name, entries, self._node),
                complete=False,
                order_number=next((said for each in entries if (said := text(each, "orderid")[:64])), None),
            )
            for number, entries in by_waybill.items()
        )

    def _node(self, entry: Mapping[str, Any]) -> Node:
        code = text(entry, "opCode")
        reason = text(entry, "reasonName")
        words = text(entry, "remark")
        return node(
            status=self._table.status(code),
            code=code,
            words=f"{words}（{reason}）" if reason else words,
            event_at=at(text(entry, "acceptTime")),
            place=text(entry, "acceptAddress"),
            identity=text(entry, "id") or None,
        )


def _read(body: bytes) -> tuple[str, dict[str, Any]]:
    """The text that was pushed, JSON, XML or a form with XML in `content`, and its content. Raises Unreadable."""
    plain = text_of(body, BOUNDS).lstrip()
    if plain.startswith("{"):
        return plain, json_object(plain, BOUNDS)
    if not plain.startswith("<"):
        plain = form_fields(body, BOUNDS).get("content", "").lstrip()
        if plain[:3].upper() == "%3C":  # encoded before it was put into the form
            plain = unquote_plus(plain)
    return plain, xml_fields(plain, BOUNDS, root="Request", attributes=True)


def _xml(within: str) -> PushAnswer:
    return PushAnswer(f'<Response service="RoutePushService">{within}</Response>'.encode(), _XML)
