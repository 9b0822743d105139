"""The partners' codes in our words: TOML files beside the adapters, which an installation may put its own before."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from backend.partners import tables
from backend.partners.courier.port import (
    CourierAddressRefused,
    CourierOrderRefused,
    CourierTooSoon,
    CourierWaybillNotFound,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
)
from backend.settings import SettingsError

STATUSES = frozenset(
    {
        *("created", "collected", "collect_failed", "in_transit", "arrived_city", "out_for_delivery", "at_station"),
        *("delivered", "delivery_failed", "refused", "exception", "returning", "returned", "lost", "cancelled"),
        "other",
    }
)
"""The words for a node of a journey: those of models.shipments.TrackStatus, which partners do not know."""
OTHER = "other"
FINE = frozenset({"ok", "again", "done"})
"""Meanings of an answer that are no refusal: done now, ordered before, cancelled before."""
REFUSALS: Mapping[str, type[PartnerError]] = {
    "refused": PartnerRefused,
    "order": CourierOrderRefused,
    "address": CourierAddressRefused,
    "unknown": CourierWaybillNotFound,
    "soon": CourierTooSoon,
    "busy": PartnerBusy,
    "misconfigured": PartnerMisconfigured,
}
"""The other meanings of an answer."""
_LONGEST_CODE = 32
_LONGEST_MESSAGE = 200


class Table(Struct, frozen=True, kw_only=True):
    """What one partner's codes mean."""

    name: str
    codes: Mapping[str, str] = field(default_factory=dict)
    """Code of a node → its status."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Word of a node without a code → its status."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Code of a whole parcel, where it differs from those of nodes → its status."""
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Per kind of answer: the partner's code → a meaning of FINE or REFUSALS."""
    companies: Mapping[str, str] = field(default_factory=dict)
    """The partner's word for a courier company → kuaidi100's."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of services and products that an installation may have to change."""

    def status(self, code: str) -> str:
        """The status of a node with this code; `other` for an unlisted code."""
        return self.codes.get(code) or self.words.get(code) or OTHER

    def meaning(self, kind: str, code: str) -> str:
        """What this answer means; an unlisted code is a refusal."""
        return self.answers[kind].get(code, "refused")

    def company(self, theirs: str) -> str:
        """Our word for the company that the partner calls so."""
        return self.companies.get(theirs) or theirs.lower()

    def their_company(self, ours: str) -> str:
        """The partner's word for a company of ours."""
        return next((theirs for theirs, word in self.companies.items() if word == ours), ours.upper())

    def check(self, kind: str, code: str, message: str = "", *, otherwise: type[PartnerError] = PartnerRefused) -> str:
        """The meaning of an answer that is fine; raises the error of one that is not.

        `otherwise` is what a plain refusal is called in this call. An answer without any code raises PartnerBusy.
        """
        if not code:
            raise PartnerBusy(self.name, "no-code", message[:_LONGEST_MESSAGE])
        meaning = self.meaning(kind, code)
        if meaning not in FINE:
            raise self.error(meaning, code, message, otherwise=otherwise)
        return meaning

    def error(
        self, meaning: str, code: str, message: str = "", *, otherwise: type[PartnerError] = PartnerRefused
    ) -> PartnerError:
        """The error that a meaning stands for; see `check`."""
        kind = otherwise if meaning == "refused" else REFUSALS.get(meaning, otherwise)
        return kind(self.name, code[:_LONGEST_CODE], message[:_LONGEST_MESSAGE])


def load(name: str, folder: str = "") -> Table:
    """The table of a partner; entries of the file of the same name in `folder` go before ours.

    Raises SettingsError when that file cannot be read, or uses an unknown word.
    """
    entries = tables.entries("backend.partners.courier", name, folder=folder, setting="COURIER_TABLES")
    try:
        table = Table(name=name, **entries)
        _check(table)
    except (TypeError, AttributeError, ValueError) as error:
        raise SettingsError(f"COURIER_TABLES: {name}.toml: {error}") from error
    return table


def _check(table: Table) -> None:
    for part in (table.codes, table.words, table.states):
        for code, status in part.items():
            if status not in STATUSES:
                raise ValueError(f"{code} = {status!r} is no status of a parcel")
    for kind, answers in table.answers.items():
        for code, meaning in answers.items():
            if meaning not in FINE and meaning not in REFUSALS:
                raise ValueError(f"answers.{kind}: {code} = {meaning!r} is no meaning of an answer")
    for part in (table.companies, table.names):
        for key, value in part.items():
            if not isinstance(value, str):
                raise ValueError(f"{key} is not a text")
