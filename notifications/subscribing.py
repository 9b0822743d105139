"""Subscribing to WeChat messages: the consents that a page should request, and the results of its popups."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

from msgspec import Struct

from backend import clock
from backend.errors import Fault, Invalid, NotFound, raises
from models.notifications import ConsentAnswer, ConsentKind, ConsentSource
from notifications import consent
from notifications.consent import Balance, Report
from notifications.templates import ASKED_AT_ONCE, PartnerTemplate, messages, partner_templates

PopupResult = Literal["accept", "acceptWithAudio", "acceptWithAlert", "reject", "ban", "filter"]
"""The result of wx.requestSubscribeMessage for one template."""

ENOUGH = 3
"""One-off consents in store after which a page stops requesting more."""


class TemplateInvalid(Invalid):
    """A result names a template id that this installation does not have."""

    title = "消息模板不存在"


class SubscriptionPageNotFound(NotFound):
    """No page of this name requests consents."""

    title = "该页面没有需要订阅的消息"


class PageTemplate(Struct, kw_only=True):
    """One template of a page: how many messages the resident still allows, or that the consent lasts."""

    template_id: str
    title: str
    kind: ConsentKind
    remaining: int
    allowed: bool
    banned: bool


class PageSubscriptions(Struct, kw_only=True):
    """What a page should request. `template_ids` goes into `wx.requestSubscribeMessage` as it is: at most five, and
    never one-off and long-term together, because WeChat does not mix them. Empty: nothing needs to be requested."""

    page: str
    kind: ConsentKind | None
    template_ids: list[str]
    templates: list[PageTemplate]


def list_page_templates(page: str) -> tuple[PartnerTemplate, ...]:
    """The mini-program templates that a page requests. Raises SubscriptionPageNotFound."""
    contents = [each.mini_program for each in messages().values() if page in each.ask_on]
    names = dict.fromkeys(content.template for content in contents if content)
    if not names:
        raise SubscriptionPageNotFound
    return tuple(partner_templates().mini_program[name] for name in names)


def next_popup(templates: list[PageTemplate]) -> tuple[ConsentKind | None, list[str]]:
    """What the next popup should request: long-term consents first, then one-off consents of which few are left."""
    lasting = [each for each in templates if each.kind is ConsentKind.LONG_TERM and not each.allowed]
    few = [each for each in templates if each.kind is ConsentKind.ONE_OFF and each.remaining < ENOUGH]
    chosen = lasting or sorted(few, key=lambda each: each.remaining)
    if not chosen:
        return None, []
    return chosen[0].kind, [each.template_id for each in chosen[:ASKED_AT_ONCE]]


@raises(SubscriptionPageNotFound)
async def get_page_subscriptions(resident_id: UUID, page: str) -> PageSubscriptions:
    """What the page should request from this resident."""
    known = list_page_templates(page)
    balances = await consent.get_balances(resident_id)
    templates = [_page_template(each, balances.get(each.id, Balance(ConsentKind(each.kind)))) for each in known]
    kind, template_ids = next_popup(templates)
    return PageSubscriptions(page=page, kind=kind, template_ids=template_ids, templates=templates)


def _page_template(template: PartnerTemplate, balance: Balance) -> PageTemplate:
    return PageTemplate(
        template_id=template.id,
        title=template.title,
        kind=ConsentKind(template.kind),
        remaining=balance.remaining,
        allowed=balance.allows,
        banned=balance.banned,
    )


@raises(TemplateInvalid, SubscriptionPageNotFound)
async def report_popup(
    resident_id: UUID, page: str, results: Mapping[str, PopupResult], *, key: str
) -> PageSubscriptions:
    """Record the results of a popup on the page; what to request next.

    `key` is the request's idempotency key: with the template it is the id of each report, so that a repeat counts
    once even when the key was forgotten in between. TemplateInvalid points to each result of an unknown template.
    """
    unknown = [name.replace("~", "~0").replace("/", "~1") for name in results if consent.find_template(name) is None]
    faults = [Fault(f"/results/{name}", "没有这个消息模板") for name in unknown]
    if faults:
        raise TemplateInvalid(fields=faults)
    at, digest = clock.now(), hashlib.sha256(key.encode()).hexdigest()[:32]
    await consent.record_reports(
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
    return await get_page_subscriptions(resident_id, page)
