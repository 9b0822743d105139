"""Calls to couriers: forms, addresses that they push to, and answers that must be JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from backend.partners.base import Repeat, Reply, Request
from backend.partners.bodies import Bounds, Unreadable, json_object, text_of
from backend.partners.courier.port import PartnerUnreachable, Party, Tracking
from backend.settings import Settings

ANSWER = Bounds(largest=16_777_216, deepest=16, most=100_000)
"""We request these answers; `partner_body_limit` bounds their size before."""


def form(path: str, fields: Mapping[str, str], *, repeat: Repeat = Repeat.IF_NEVER_SENT) -> Request:
    """A form to be posted."""
    return Request(
        method="POST",
        path=path,
        body=urlencode(fields).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        repeat=repeat,
    )


def answer_of(partner: str, reply: Reply) -> dict[str, Any]:
    """The answer's JSON object. Raises PartnerUnreachable when it is anything else."""
    return answer_object(partner, reply.body)


def answer_object(partner: str, body: bytes | str) -> dict[str, Any]:
    """The JSON object inside an answer, which some write as a text. Raises PartnerUnreachable."""
    try:
        return json_object(body if isinstance(body, str) else text_of(body, ANSWER), ANSWER)
    except Unreadable:
        raise PartnerUnreachable(partner, "not-json", maybe_done=True) from None


@contextmanager
def reading_answer(partner: str) -> Iterator[None]:
    """An answer that is JSON and still not what it should be becomes a PartnerUnreachable."""
    try:
        yield
    except Unreadable as error:
        raise PartnerUnreachable(partner, "odd-answer", str(error), maybe_done=True) from None


def places(party: Party) -> tuple[str, str, str, str]:
    """Province, city, county and the rest of the address. A city under the central government is its own province."""
    names = [each for each in party.region if each]
    if names and names[0].endswith("市"):
        below = [each for each in names[1:] if each not in (names[0], "市辖区", "县")]
        names = [names[0], names[0], *below]
    province, city, county = ([*names, "", "", ""])[:3]
    return province, city, county, "".join(names[3:]) + party.street


def callback_address(values: Settings, tracker: Tracking) -> str:
    """Where a tracker pushes to; one whose pushes prove nothing gets the address that cannot be guessed."""
    base = f"{values.public_base.rstrip('/')}/v1/callbacks/courier/{tracker.name}"
    return base if tracker.signs else f"{base}/{values.courier_push_token}"
