"""docs/how-to/add-a-courier.md works: its four files, and no other module, make a courier."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.partner_settings.couriers import COURIERS

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/how-to/add-a-courier.md").read_text("utf-8")
FILES = dict(re.findall(r"^\*\*(backend/[\w/.]+)\*\*[^\n]*\n\n```\w+\n(.*?)```", PAGE, re.M | re.S))
CHOICES = {
    "backend/partners/courier/signing.py": "every signature beside its test vectors, named after its courier",
    "backend/settings.py": "the default of COURIER_TRACKER",
    "api/demo/delivery.py": "the courier that the demo orders from",
}
"""Modules that pick one courier, which a new one does not touch."""

USE = """
import asyncio
from dataclasses import replace

from backend.deliveries.naming import SOURCE_NAMES
from backend.partners import faults, partners_from
from backend.partners.courier.port import CourierTooSoon, CourierWaybillNotFound, PartnerMisconfigured, TrackingRequest
from backend.partners.sandbox import serve_sandbox
from backend.settings import Settings


async def main():
    incomplete = Settings.from_environment({"RIVER_CLIENT": "ours"})
    assert ("broken", "RIVER_KEY") in {(weight, name) for weight, name, _, _ in faults(incomplete)}
    public = Settings.from_environment({"RIVER_CLIENT": "ours", "RIVER_KEY": "sandbox-key-of-river"})
    assert ("unsafe", "RIVER_KEY") in {(weight, name) for weight, name, _, _ in faults(public)}
    assert SOURCE_NAMES["river"] == "江河快递"
    assert "river" not in partners_from(Settings()).trackers

    async with serve_sandbox(Settings()) as sandbox:
        own = {name: value for name, value in sandbox.settings().items() if name.startswith("river_")}
        bundle, other = (partners_from(replace(Settings(), **{**own, **more})) for more in ({}, {"river_key": "other"}))
        river, couriers = bundle.trackers["river"], sandbox.couriers
        assert "river" not in bundle.couriers
        couriers.rule(auto=False)
        parcel = await couriers.parcel("yuantong")
        await couriers.travel(parcel.waybill, "signed")
        wanted = TrackingRequest(waybill=parcel.waybill, company="yuantong")
        track = await river.query(wanted)
        assert [track.nodes[0].status, track.nodes[-1].status] == ["collected", "delivered"]
        for tracker, asked, error in (
            (river, TrackingRequest(waybill="7000000000000", company="yuantong"), CourierWaybillNotFound),
            (other.trackers["river"], wanted, PartnerMisconfigured),
            (river, wanted, CourierTooSoon),
        ):
            if error is CourierTooSoon:
                couriers.refuse("river", "query")
            try:
                await tracker.query(asked)
            except error:
                continue
            raise AssertionError(f"no {error.__name__}")
        assert [code for who, what, code in couriers.world.calls] == ["0", "404", "401", "429"]
        await bundle.close()
        await other.close()


asyncio.run(main())
"""


def test_the_four_files_of_the_how_to_make_a_courier(tmp_path: Path):
    assert len(FILES) == 4
    shutil.copytree(ROOT / "backend", tmp_path / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    for path, content in FILES.items():
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(content, "utf-8")

    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", USE], cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("courier", COURIERS)
def test_no_module_but_a_couriers_own_names_it(courier: str):
    others = [
        path
        for folder in ("api", "backend", "models", "notifications")
        for path in (ROOT / folder).rglob("*.py")
        if not re.match(rf"{courier}(_|\.)", path.name) and str(path.relative_to(ROOT)) not in CHOICES
    ]

    assert {str(path.relative_to(ROOT)) for path in others if _names(path, courier)} == set()


def _names(path: Path, courier: str) -> bool:
    """Whether the code has an identifier that begins with the courier's name, or its name as a text. EMS's name is also
    that of a company, which is no naming of the partner."""
    source = path.read_text("utf-8")
    if courier not in source:
        return False
    named = re.compile(rf"{courier}(_\w+)?")
    for each in ast.walk(ast.parse(source)):
        words = [getattr(each, field, None) for field in ("id", "attr", "arg", "name")]
        if isinstance(each, ast.Constant) and courier != COURIERS[courier].company:
            words.append(each.value)
        if any(isinstance(word, str) and named.fullmatch(word) for word in words):
            return True
    return False
