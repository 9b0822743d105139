"""While nothing is released: write 0001 (tables) and 0002 (constraints) anew from the models."""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path

from tortoise import Tortoise
from tortoise.apps import Apps
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.operations import AddConstraint
from tortoise.migrations.writer import MigrationWriter

from models import MODELS

HERE = Path(__file__).parent / "migrations"


async def main() -> None:
    for old in (*HERE.glob("0001_*.py"), *HERE.glob("0002_*.py"), *HERE.glob("0004_*.py")):
        old.unlink()
    hidden = {p: p.rename(p.with_suffix(".hidden")) for p in HERE.glob("0003_*.py")}
    try:
        config = {
            "connections": {"default": {"engine": "tortoise.backends.asyncpg", "credentials": {"database": "x"}}},
            "apps": {"models": {"models": MODELS, "default_connection": "default", "migrations": "models.migrations"}},
            "use_tz": True,
        }
        await Tortoise.init(config=config, init_connections=False)
        apps: Apps = Tortoise.apps  # type: ignore[assignment]
        constraints = {}
        for name, model in sorted(apps["models"].items()):
            constraints[name] = tuple(model._meta.constraints)
            model._meta.constraints = ()
        detector = MigrationAutodetector(apps, config["apps"])
        paths = await detector.write()
        operations = [AddConstraint(name, c) for name, all_of in constraints.items() for c in all_of]
        writer = MigrationWriter(
            "0002_constraints",
            "models",
            operations,
            dependencies=[("models", "0001_initial")],
            initial=False,
            migrations_module="models.migrations",
        )
        paths.append(str(writer.write()))
        for path in paths:
            text = Path(path).read_text()
            text = text.replace("from tortoise.migrations import operations", "from models import operations")
            text = text.replace("(migrations.Migration)", "(ops.Migration)")
            Path(path).write_text(text)
        print(*paths, sep="\n")
    finally:
        for original, now in hidden.items():
            now.rename(original)


if __name__ == "__main__":
    with open("/tmp/zhangban-migrate-dev.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        asyncio.run(main())
