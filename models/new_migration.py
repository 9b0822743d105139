"""Write the next migrations from the models: `python -m models.new_migration appointments`.

Tortoise drops the constraints of a table that is created in the same migration and then sees no difference. So new
tables come in one migration and their constraints in the next one. docs/migrations.md says how to go on from there.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.operations import AlterModelOptions
from tortoise.migrations.writer import MigrationWriter

from models import MODELS

CONFIG: dict[str, Any] = {
    "connections": {"default": {"engine": "tortoise.backends.asyncpg", "credentials": {"database": "none"}}},
    "apps": {"models": {"models": MODELS, "default_connection": "default", "migrations": "models.migrations"}},
    "use_tz": True,
}


async def _known(detector: MigrationAutodetector) -> set[str]:
    """Names of the models that the migrations on disk create."""
    await detector.loader.build_graph()
    return {name for _, name in (await detector._project_state()).models}


async def _written(detector: MigrationAutodetector, name: str) -> list[Path]:
    """Write what the detector finds. Options of models live in the models: no table changes with them."""
    paths = []
    for found in await detector.changes():
        operations = [each for each in found.operations if not isinstance(each, AlterModelOptions)]
        if not operations:
            continue
        number = found.name.split("_")[0]
        writer = MigrationWriter(
            f"{number}_{name}",
            found.app_label,
            operations,
            dependencies=found.dependencies,
            initial=found.initial,
            migrations_module=found.migrations_module,
        )
        text = writer.as_string().replace("from tortoise.migrations import operations", "from models import operations")
        text = text.replace("(migrations.Migration)", "(ops.Migration)")
        text = re.sub(r"^(from tortoise import .*?)(?:, migrations\b|\bmigrations, )", r"\1", text, flags=re.MULTILINE)
        text = text.replace("from tortoise import migrations\n", "")
        writer.path().write_text(text, encoding="utf-8")
        paths.append(writer.path())
    return paths


async def write(name: str) -> list[Path]:
    """Write the missing migrations, tables first; return the files written, none when nothing has changed."""
    await Tortoise.init(config=CONFIG, init_connections=False)
    apps: Any = Tortoise.apps
    known = await _known(MigrationAutodetector(apps, CONFIG["apps"]))
    put_off = {model: model._meta.constraints for key, model in apps["models"].items() if key not in known}
    for model in put_off:
        model._meta.constraints = ()
    paths = await _written(MigrationAutodetector(apps, CONFIG["apps"]), name)
    for model, constraints in put_off.items():
        model._meta.constraints = constraints
    constraints = "constraints" if name == "tables" else f"{name}_constraints"
    return paths + await _written(MigrationAutodetector(apps, CONFIG["apps"]), constraints)


if __name__ == "__main__":
    for path in asyncio.run(write(sys.argv[1])):
        print(path)
