"""What must never import or do what: the rules that the import contracts cannot say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house.reading import HOUSE, dotted, files, imported, name, product, tree

QUERIES = frozenset(
    {
        "filter", "get", "get_or_none", "get_or_create", "update_or_create", "create", "bulk_create", "bulk_update",
        "all", "exclude", "first", "last", "raw", "save", "delete", "in_bulk", "select_for_update", "exists", "count",
    }
)  # fmt: skip
ONLY_IN = {
    "tortoise.transactions": {"backend/database.py"},
    "os.environ": {"backend/settings.py"},
    "os.getenv": {"backend/settings.py"},
    "time.time": {"backend/clock.py"},
    "time.monotonic": {"backend/clock.py"},
}
"""A name → the files that may use it."""
BARE = {
    "backend/embedded_servers.py": "works before any of our own modules may be loaded, in a process of its own",
    "backend/embedded_keeper.py": "works before any of our own modules may be loaded, in a process of its own",
    "backend/embedded.py": "gives the servers that it starts an environment of their own",
}
"""Files that stand below settings and clock, and why."""
CLIENTS = ("aiohttp", "httpx", "requests", "urllib.request", "http.client", "urllib3")
SIMULATES = ("backend/partners/", "api/demo/")
"""Where HTTP is spoken to others: partners, and the demo, which plays a phone and a department from outside."""
DATABASE = {
    *("api/app.py", "api/health.py", "api/idempotency.py", "api/problems.py", "api/commands/running.py"),
    "api/callbacks/answering.py",
}
"""Files of the API that may know the database: what opens it, asks whether it lives, names its errors, or
says whose work comes first there."""
OWN_NAMES = {
    "backend/privacy_scan.py": "the names of tables and columns, as the catalogue of PostgreSQL lists them",
    "backend/key_rotation.py": "the names of the sealed columns, from its own table",
    "backend/migrations.py": "names the role of the settings, which it has checked to be a plain identifier",
}
"""Files whose SQL holds names that are no constants, and why that is safe."""


def calls(path: Path) -> Iterator[ast.Call]:
    """Every call of a method or of a name that was imported with its module."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node


def test_the_api_asks_no_model_anything():
    asked = []
    for path in files("api"):
        models = {local for full, local in imported(path) if full.startswith("models.")}
        for node in calls(path):
            of_model = node.func.attr in QUERIES and dotted(node.func).partition(".")[0] in models  # type: ignore[attr-defined]
            of_row = node.func.attr in {"save", "delete", "update_from_dict"} and not node.args  # type: ignore[attr-defined]
            if of_model or of_row:
                asked.append(f"{name(path)}:{node.lineno} {dotted(node.func)}")

    assert asked == []


def test_the_api_writes_no_sql():
    using = {
        name(path) for path in files("api") if any(full.startswith("backend.database") for full, _ in imported(path))
    }

    assert using <= DATABASE


def test_what_has_one_place_is_nowhere_else():
    astray = []
    for path in product():
        used = {dotted(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        used |= {full for full, _ in imported(path)}
        for rule, places in ONLY_IN.items():
            if name(path) not in BARE and name(path) not in places:
                astray += [f"{name(path)}: {each}" for each in used if each == rule or each.startswith(rule + ".")]

    assert astray == []


def test_only_the_clock_asks_what_time_it_is():
    asking = set()
    for path in product():
        days = {local for full, local in imported(path) if full in {"datetime.datetime", "datetime.date"}}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                owner = dotted(node.value)
                if owner in days or owner in {"datetime.datetime", "datetime.date"}:
                    asking.add(name(path))

    assert asking <= {"backend/clock.py"} | BARE.keys()


def test_only_partners_speak_http_to_others():
    speaking = {name(path) for path in product() if any(full.startswith(CLIENTS) for full, _ in imported(path))}

    assert [each for each in sorted(speaking) if not each.startswith(SIMULATES)] == []


def test_sql_is_never_made_of_what_a_client_sent():
    """f-strings in SQL hold constants (capitals) and nothing else."""
    asking = {"fetch", "fetch_row", "fetchrow", "fetch_value", "fetchval", "execute"}
    made = []
    for path in product():
        for node in ast.walk(tree(path)):
            if not (isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in asking and node.args):
                continue
            for part in ast.walk(node.args[0]):
                constant = isinstance(part, ast.FormattedValue) and dotted(part.value).rpartition(".")[2].strip("_")
                if isinstance(part, ast.FormattedValue) and not str(constant).isupper():
                    made.append(name(path))

    assert set(made) <= OWN_NAMES.keys()


def test_every_exception_is_still_needed():
    there = {name(path) for path in product()}

    assert {*BARE, *DATABASE, *OWN_NAMES} <= there
    assert {place for places in ONLY_IN.values() for place in places} <= there


def domains() -> set[str]:
    """The folders of `backend` without the partners and their settings."""
    return {path.parent.name for path in files("backend") if path.name == "__init__.py"} - {
        "backend",
        "partners",
        "partner_settings",
    }


def face(domain: str) -> set[str]:
    """What a domain shows: the names in `__all__` of its package."""
    for node in tree(HOUSE / "backend" / domain / "__init__.py").body:
        if isinstance(node, ast.Assign) and any(dotted(target) == "__all__" for target in node.targets):
            return set(ast.literal_eval(node.value))
    return set()


WIRING = {
    "backend/key_rotation.py": "seals every column anew, and so knows how each domain seals",
    "backend/reactions.py": "the table of what each event sets off",
}
"""Files that name handlers and columns behind the faces, and why; so may what fills and proves a database."""


def test_a_domain_is_used_by_its_face():
    """Its package, by the names in `__all__`, and its errors and events."""
    behind = []
    for path in files("api", "notifications", "backend"):
        if name(path) in WIRING or path.name in ("seeding.py", "invariants.py"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("backend."):
                _, domain, *module = node.module.split(".")
                foreign = domain in domains() and not name(path).startswith(f"backend/{domain}/")
                shown = face(domain) | {"errors", "events"} if foreign else None
                if shown is not None and module not in (["errors"], ["events"]):
                    behind += [
                        f"{name(path)}: {node.module}" for each in node.names if module or each.name not in shown
                    ]

    assert behind == []
