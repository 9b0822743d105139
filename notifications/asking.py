"""What a page of the mini-program should ask consent for, and what the residents answered there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, NamedTuple
from uuid import UUID

from backend import clock
from backend.errors import Fault, Invalid, NotFound
from models.notifications import ConsentAnswer, ConsentKind, ConsentSource
from notifications import consent
from notifications.consent import Report, Standing
from notifications.templates import ASKED_AT_ONCE, PartnerTemplate, messages, partner_templates

PopupResult = Literal["accept", "acceptWithAudio", "acceptWithAlert", "reject", "ban", "filter"]
"""What wx.requestSubscribeMessage says about each template."""

ENOUGH = 3
"""One-off consents in store after which a page stops asking for more."""


class TemplateNotOurs(Invalid):
    """A result names a template id that this installation does not have."""

    title = "消息模板不存在"


class PageAsksNothing(NotFound):
    """No message is asked for on a page of this name."""

    title = "该页面没有需要订阅的消息"


class Asked(NamedTuple):
    """One template of a page, and what the resident allows for it."""

    template: PartnerTemplate
    standing: Standing


class Asking(NamedTuple):
    """The templates of a page, and those that one popup should ask for now: at most five and of one kind, because
    WeChat does not mix the two."""

    page: str
    templates: tuple[Asked, ...]
    kind: ConsentKind | None
    ask_now: tuple[str, ...]


def templates_of(page: str) -> tuple[PartnerTemplate, ...]:
    """The mini-program templates that a page asks for. Raises PageAsksNothing."""
    ways = [each.mini_program for each in messages().values() if page in each.ask_on]
    names = dict.fromkeys(way.template for way in ways if way)
    if not names:
        raise PageAsksNothing
    return tuple(partner_templates().mini_program[name] for name in names)


def next_popup(asked: tuple[Asked, ...]) -> tuple[ConsentKind | None, tuple[str, ...]]:
    """What the next popup should ask for: first what lasts, then one-off consents of which few are left."""
    lasting = [each for each in asked if each.standing.kind is ConsentKind.LONG_TERM and not each.standing.allows]
    few = [each for each in asked if each.standing.kind is ConsentKind.ONE_OFF and each.standing.remaining < ENOUGH]
    chosen = lasting or sorted(few, key=lambda each: each.standing.remaining)
    if not chosen:
        return None, ()
    return chosen[0].standing.kind, tuple(each.template.id for each in chosen[:ASKED_AT_ONCE])


async def asking(resident_id: UUID, page: str) -> Asking:
    """What the page should ask this resident for. Raises PageAsksNothing."""
    templates = templates_of(page)
    known = await consent.standings(resident_id)
    asked = tuple(Asked(each, known.get(each.id, Standing(ConsentKind(each.kind)))) for each in templates)
    return Asking(page, asked, *next_popup(asked))


async def answered(resident_id: UUID, page: str, results: Mapping[str, PopupResult], *, key: str) -> Asking:
    """Take down what a popup on the page came to, and say what to ask for next.

    `key` is the request's idempotency key: with the template it is the id of each report, so that a repeat counts
    once even when the key was forgotten in between.

    Raises TemplateNotOurs, pointing to each result that names a template we do not have, and PageAsksNothing.
    """
    strange = [name.replace("~", "~0").replace("/", "~1") for name in results if consent.known(name) is None]
    faults = [Fault(f"/results/{name}", "没有这个消息模板") for name in strange]
    if faults:
        raise TemplateNotOurs(fields=faults)
    at, digest = clock.now(), hashlib.sha256(key.encode()).hexdigest()[:32]
    await consent.take_down(
        resident_id,
        [
            Report(
                template_id=name,
                answer=ConsentAnswer.ACCEPT if result.startswith("accept") else ConsentAnswer(result),
                source=ConsentSource.FRONT_END,
                source_id=f"front-end:{resident_id}:{digest}:{name}",
                happened_at=at,
            )
            for name, result in results.items()
        ],
    )
    return await asking(resident_id, page)
