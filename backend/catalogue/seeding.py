"""The sample catalogue: regions, departments, halls and items from `seed/*.toml`, deterministic and safe to repeat.

The TOML is written for people, so it is short where a guide is long; `expand` makes a whole guide of it:

    basis = [{ ref, law = "key of [laws]", article }]     materials = [{ use = "key of [materials]", … }]
    steps = [["name", "what is done", "by whom", days, counted?]]    fields of a form = [["label", "sample", "hint"?]]
    halls = ["code"]; forms are taken from [forms] when a material names them; [defaults] hold for every item
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from backend.catalogue import codes
from backend.catalogue.events import ItemPublished
from backend.catalogue.guide import Guide
from backend.catalogue.indexing import entry_of
from backend.database import transaction
from backend.events import record
from backend.regions.codes import check_uscc, region_level
from models.catalogue import CatalogueEntry, ItemKind, ItemVersion, ServiceItem, VersionState
from models.regions import Department, Hall, Region, RegionLevel

_OF_THE_ITEM = ("basic", "kind", "name", "themes", "keywords", "level", "handling_item")
PUBLISHED_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When the sample versions were published: fixed, so that two seeded databases are alike."""


def stable_id(kind: str, key: str) -> UUID:
    """The id of a sample row: the same on every machine."""
    return uuid5(NAMESPACE_URL, f"zhangban:sample/{kind}/{key}")


@lru_cache(maxsize=32)
def read(name: str) -> dict[str, Any]:
    """One TOML file of the seed; not to be changed by who reads it."""
    return tomllib.loads(resources.files("backend.catalogue").joinpath("seed", name).read_text("utf-8"))


def item_files() -> list[str]:
    """The files that hold items, one per department."""
    folder = resources.files("backend.catalogue").joinpath("seed")
    return sorted(each.name for each in folder.iterdir() if each.name.endswith(".toml") and each.name != "places.toml")


def expand(item: dict[str, Any], file: dict[str, Any]) -> Guide:
    """The whole guide that an entry of the file stands for. Raises msgspec.ValidationError for a slip in the TOML."""
    entry = {**file.get("defaults", {}), **item}
    for key in _OF_THE_ITEM:
        entry.pop(key, None)
    shared, laws, forms = file.get("materials", {}), file.get("laws", {}), file.get("forms", {})
    entry["basis"] = [{**laws.get(each.get("law"), {}), **_without(each, "law")} for each in entry.get("basis", [])]
    entry["materials"] = [
        {**shared.get(each.get("use"), {}), **_without(each, "use")} for each in entry.get("materials", [])
    ]
    named = dict.fromkeys(each["form"] for each in entry["materials"] if "form" in each)
    entry["forms"] = [
        {"ref": ref, "name": forms[ref]["name"], "fields": [_field(line) for line in forms[ref]["fields"]]}
        for ref in named
    ]
    entry["steps"] = [_step(each) for each in entry.get("steps", [])]
    entry["questions"] = [{"question": ask, "answer": answer} for ask, answer in entry.get("questions", [])]
    entry["hall_ids"] = [str(stable_id("hall", code)) for code in entry.pop("halls", [])]
    return msgspec.convert(entry, Guide)


def _without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}


def _field(line: list[str]) -> dict[str, str]:
    return dict(zip(("label", "sample", "hint"), line, strict=False))


def _step(line: list[Any]) -> dict[str, Any]:
    return dict(zip(("name", "text", "by", "limit_days", "counted"), line, strict=False))


async def seed_catalogue() -> int:
    """Write what is not there yet; how many items the catalogue gained. Nothing that exists is changed."""
    async with transaction():
        places = read("places.toml")
        await _regions(places["regions"])
        await _departments(places["departments"])
        await _halls(places["halls"])
        return sum([await _items(read(name)) for name in item_files()])


async def _regions(entries: list[dict[str, Any]]) -> None:
    for entry in sorted(entries, key=lambda each: ("successor" in each, len(each["code"]), each.get("parent", ""))):
        await Region.get_or_create(
            id=stable_id("region", entry["code"]),
            defaults={
                "code": entry["code"],
                "name": entry["name"],
                "level": RegionLevel(region_level(entry["code"])),
                "parent_id": stable_id("region", entry["parent"]) if "parent" in entry else None,
                "valid_from": entry["valid_from"],
                "valid_to": entry.get("valid_to"),
                "successor_id": stable_id("region", entry["successor"]) if "successor" in entry else None,
            },
        )


async def _departments(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        await Department.get_or_create(
            id=stable_id("department", entry["uscc"]),
            defaults={
                **{key: entry[key] for key in ("name", "domain", "phone")},
                "uscc": check_uscc(entry["uscc"]),
                "region_id": stable_id("region", entry["region"]),
            },
        )


async def _halls(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        await Hall.get_or_create(
            id=stable_id("hall", entry["code"]),
            defaults={**_without(entry, "region"), "region_id": stable_id("region", entry["region"])},
        )


async def _items(file: dict[str, Any]) -> int:
    """Write the items of a file that are not there yet, in a handful of statements; how many."""
    department = await Department.get(uscc=file["department"]).select_related("region")
    there = {item.code for item in await ServiceItem.filter(department=department)}
    pairs = [_made(entry, file) for entry in file["items"]]
    new = [(item, version) for item, version in pairs if item.code not in there]
    await ServiceItem.bulk_create([item for item, _ in new])
    await ItemVersion.bulk_create([version for _, version in new])
    await CatalogueEntry.bulk_create(
        [entry_of(item, version, msgspec.convert(version.guide, Guide), department) for item, version in new]
    )
    for item, _ in new:
        await record(ItemPublished(item_id=item.id, code=item.code, number=1, replaced=None))
    return len(new)


def _made(entry: dict[str, Any], file: dict[str, Any]) -> tuple[ServiceItem, ItemVersion]:
    """An item of the file and its only version, not yet saved."""
    level = entry.get("level", file["defaults"]["level"])
    handling = entry.get("handling_item", "01") if codes.scheme().length == 33 else ""
    code = codes.build(file["department"], level, entry["basic"], handling)
    item = ServiceItem(
        id=stable_id("item", code),
        code=code,
        department_id=stable_id("department", file["department"]),
        kind=ItemKind(entry["kind"]),
        level=level,
        basic_code=entry["basic"],
    )
    version = ItemVersion(
        id=stable_id("version", f"{code}/1"),
        item_id=item.id,
        number=1,
        state=VersionState.PUBLISHED,
        name=entry["name"],
        themes=entry["themes"],
        keywords=entry["keywords"],
        guide=msgspec.to_builtins(expand(entry, file)),
        published_at=PUBLISHED_AT,
    )
    return item, version
