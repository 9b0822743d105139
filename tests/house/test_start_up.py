"""Every process pays for what it imports: libraries that few processes need are loaded where they are first used.

Modules are counted here, never seconds; `make bench ARGS=start_up` measures those.
"""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.house.reading import name, product, tree

HEAVY = {
    "PIL": "comes with qrcode and reportlab",
    "aiohttp": "a partner is called",
    "fontTools": "a receipt is printed",
    "google.protobuf": "comes with the exporter of OpenTelemetry",
    "litestar.plugins.pydantic": "the application is built",
    "opentelemetry": "a collector is named; redis-py brings it, too",
    "pgqueuer": "jobs are run, or the queue is made",
    "pydantic_settings": "comes with PgQueuer",
    "pypinyin": "the index of service items is written",
    "qrcode": "a code is drawn",
    "redis": "the pools are opened",
    "reportlab": "a receipt is printed",
    "requests": "comes with wechatpy",
    "wechatpy": "something of WeChat is opened or sealed",
}
"""Libraries that the import of the application must not load, and what loads them."""
LATE = {
    "api/app.py": "only a service with a collector loads OpenTelemetry",
    "api/commands/databases.py": "a service with real servers never loads what starts the bundled ones",
    "backend/payments/receipts.py": "a process that prints no receipt never loads reportlab",
    "backend/embedded_servers.py": "a process that needs one of the two servers never loads the other",
    "backend/jobs.py": "a process that runs no jobs never loads PgQueuer",
    "backend/partners/__init__.py": "a process that calls no partner never loads their bodies",
}
"""Files that load something of ours only when it is wanted, and why."""
COMMANDS = {
    "api.cli": {"asyncpg", "litestar", "msgspec", "tortoise", "uvloop", "backend.database"},
    "api.commands.migrate": {"litestar", "uvicorn", "api.app", "api.wiring", "backend.cases", "notifications"},
    "api.commands.doctor": {"litestar", "uvicorn", "api.app", "api.wiring", "backend.cases", "notifications"},
    "api.commands.serve": {"backend.embedded"},
    "api.commands.check_invariants": {"litestar", "uvicorn", "api.app", "backend.embedded"},
}
"""A module of the command line and what importing it must not load; none of them loads what is heavy."""


def loaded_by(module: str) -> set[str]:
    """The names of all modules that a fresh interpreter has loaded after importing this one."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["api.app", *COMMANDS])
def test_an_import_loads_nothing_that_the_process_may_never_need(module: str):
    assert sorted(loaded_by(module) & (HEAVY.keys() | COMMANDS.get(module, set()))) == []


def late_imports() -> dict[str, list[int]]:
    """The lines of each file on which a function imports anything but a heavy library."""
    found: dict[str, list[int]] = {}
    for path in product():
        for function in ast.walk(tree(path)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for inner in ast.walk(function):
                if isinstance(inner, ast.ImportFrom):
                    modules = [str(inner.module)]
                elif isinstance(inner, ast.Import):
                    modules = [alias.name for alias in inner.names]
                else:
                    continue
                if any(module.partition(".")[0] not in HEAVY for module in modules):
                    found.setdefault(name(path), []).append(inner.lineno)
    return found


def test_imports_stand_at_the_top_so_that_no_circle_hides_in_a_function():
    """But for libraries that are heavy, and for what a file of `LATE` loads of ours."""
    late = {path: lines for path, lines in late_imports().items() if path not in LATE}

    assert late == {}


def test_every_exception_is_still_needed():
    assert LATE.keys() <= late_imports().keys()
