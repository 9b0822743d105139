"""One call to 顺丰丰桥: a signed form, and a JSON answer that holds another one as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec

from backend import clock
from backend.partner_settings.couriers.sf import SfSettings
from backend.partners.base import PartnerClient, Repeat, Reply, Wire
from backend.partners.courier.port import PartnerError, PartnerRefused
from backend.partners.courier.reading import text
from backend.partners.courier.replies import answer_object, answer_of, form, reading_answer
from backend.partners.courier.signing import sf_digest
from backend.partners.courier.tables import Table
from backend.settings import Settings


class SfCalls:
    """Calls on behalf of one partnerID."""

    def __init__(self, wire: Wire, values: Settings, table: Table) -> None:
        self._values = values.of(SfSettings)
        self._client = PartnerClient("sf", self._values.sf_api_base, wire, values)
        self._table = table

    async def ask(
        self,
        service: str,
        content: Mapping[str, Any],
        *,
        repeat: Repeat = Repeat.ALWAYS,
        otherwise: type[PartnerError] = PartnerRefused,
    ) -> tuple[str, dict[str, Any]]:
        """What the answer means (`ok`, `again`, `done`) and its inner object. `service` is a name of the table.

        Raises what the tables say of the code, PartnerBusy, PartnerUnreachable.
        """

        def read(reply: Reply) -> tuple[str, dict[str, Any]]:
            return self._read(reply, otherwise)

        data = msgspec.json.encode(content).decode()
        return await self._client.send(service, form("", self._signed(service, data), repeat=repeat), read)

    def _signed(self, service: str, data: str) -> dict[str, str]:
        timestamp = str(clock.timestamp())
        return {
            "partnerID": self._values.sf_partner_id,
            "requestID": str(uuid4()),
            "serviceCode": self._table.names[service],
            "timestamp": timestamp,
            "msgDigest": sf_digest(data, timestamp, self._values.sf_checkword),
            "msgData": data,
        }

    def _read(self, reply: Reply, otherwise: type[PartnerError]) -> tuple[str, dict[str, Any]]:
        with reading_answer("sf"):
            outer = answer_of("sf", reply)
            self._table.check("platform", text(outer, "apiResultCode"), text(outer, "apiErrorMsg"))
            within = outer.get("apiResultData", "")
            inner = within if isinstance(within, dict) else answer_object("sf", str(within))
            names = self._table.names
            if text(inner, names["success"]) == "true":
                return "ok", inner
            code, message = text(inner, names["code"]), text(inner, names["message"])
            return self._table.check("service", code, message, otherwise=otherwise), inner
