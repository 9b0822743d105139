"""The public page of the catalogue: written when a version is published, removed when it is withdrawn."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from backend.catalogue.guide import Guide
from backend.catalogue.wording import initials, marked, normal, pairs, pinyin_words, text_grams
from models.catalogue import CatalogueEntry, ItemVersion, ServiceItem
from models.regions import Department


class Card(Struct, frozen=True, kw_only=True):
    """An item as a row of a list. Days are working days; `fee_from_fen` is 0 when free."""

    code: str
    name: str
    summary: str
    kind: str
    domain: str
    themes: list[str]
    subjects: list[str]
    region_code: str
    region_name: str
    department_id: UUID
    department_name: str
    handling: str
    promised_days: int
    visits: int
    online_level: str
    fee_from_fen: int


class Searchable(Struct, frozen=True, kw_only=True):
    """What a search looks through, and the grams that lead to it."""

    name_text: str
    keyword_text: str
    body_text: str
    initials: str
    pinyin: str
    grams: list[str]


def searchable(name: str, keywords: list[str], body: list[str]) -> Searchable:
    """The texts in normal form. Name and keywords are also spelled in pinyin; the body is not."""
    name_text = normal(name)
    keyword_texts = [normal(word) for word in keywords]
    body_texts = [normal(text) for text in body]
    first_letters = [initials(word) for word in (name, *keywords)]
    spelled = [word for text in (name, *keywords) for word in pinyin_words(text)]
    grams: set[str] = set()
    for text in (name_text, *keyword_texts, *body_texts):
        grams |= text_grams(text)
    for word in first_letters:
        grams |= marked("i", text_grams(word))
    for word in spelled:
        grams |= marked("p", pairs(word[:24]) | set(word[:1]))
    return Searchable(
        name_text=name_text,
        keyword_text="\n".join(keyword_texts),
        body_text="\n".join(body_texts),
        initials=" ".join(first_letters),
        pinyin=" ".join(spelled),
        grams=sorted(grams),
    )


def card_of(item: ServiceItem, version: ItemVersion, guide: Guide, department: Department) -> Card:
    """The row of a list. The department comes with its region."""
    charges = guide.fee.charges if guide.fee else ()
    return Card(
        code=item.code,
        name=version.name,
        summary=guide.summary,
        kind=item.kind,
        domain=department.domain,
        themes=list(version.themes),
        subjects=list(guide.subjects),
        region_code=department.region.code,
        region_name=department.region.name,
        department_id=department.id,
        department_name=department.name,
        handling=guide.handling,
        promised_days=guide.promised_days or 0,
        visits=guide.visits,
        online_level=guide.online_level,
        fee_from_fen=min((charge.amount_fen for charge in charges), default=0),
    )


def _body(version: ItemVersion, guide: Guide, department: Department) -> list[str]:
    return [
        guide.summary,
        department.name,
        department.domain,
        *version.themes,
        *(condition.text for condition in guide.conditions),
        *(material.name for material in guide.materials),
        *(outcome.name for outcome in guide.outcomes),
        *(text for each in guide.questions for text in (each.question, each.answer)),
    ]


def entry_of(item: ServiceItem, version: ItemVersion, guide: Guide, department: Department) -> CatalogueEntry:
    """The row of the public page, not yet saved. The department comes with its region."""
    card: dict[str, Any] = msgspec.to_builtins(card_of(item, version, guide, department))
    text = searchable(version.name, list(version.keywords), _body(version, guide, department))
    return CatalogueEntry(
        id=item.id,
        version_id=version.id,
        code=item.code,
        name=version.name,
        domain=department.domain,
        department_id=department.id,
        region_code=department.region.code,
        themes=list(version.themes),
        subjects=list(guide.subjects),
        card=card,
        **msgspec.structs.asdict(text),
    )


async def index_item(item: ServiceItem, version: ItemVersion, guide: Guide) -> None:
    """Put the version where the public finds it, in the place of the item's last one."""
    department = await Department.get(id=item.department_id).select_related("region")  # type: ignore[attr-defined]
    await unindex_item(item.id)
    await entry_of(item, version, guide, department).save(force_create=True)


async def unindex_item(item_id: UUID) -> None:
    """Take the item off the public page."""
    await CatalogueEntry.filter(id=item_id).delete()
