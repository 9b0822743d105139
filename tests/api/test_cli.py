"""`zhangban`: every command runs as an operator runs it, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from api import cli
from backend import database
from backend.settings import environment, settings
from backend.shutdown import lifeline
from tests.factories.identity import a_resident
from tests.factories.notifications import a_message

ZHANGBAN = [sys.executable, "-m", "api.cli"]


@pytest.fixture(scope="module")
async def empty_database() -> AsyncIterator[str]:
    """The address of a new database on the tests' server."""
    name = f"cli_{os.getpid()}"
    owner = await asyncpg.connect(**database.credentials(settings().database_url))
    await owner.execute(f'CREATE DATABASE "{name}"')
    yield urlunsplit(urlsplit(settings().database_url)._replace(path=f"/{name}"))
    await owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await owner.close()


async def zhangban(*arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; by default on the servers of this test."""
    ours = {"DATABASE_URL": settings().database_url, "REDIS_URL": settings().redis_url}
    return await asyncio.to_thread(
        subprocess.run,
        [*ZHANGBAN, *arguments],
        env=environment(**ours | values),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


async def test_the_help_names_every_command():
    done = await zhangban("--help")

    assert done.returncode == 0
    assert all(name in done.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
async def test_every_command_can_be_loaded_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])

    assert ended.value.code == 0
    assert f"usage: zhangban {name}" in capsys.readouterr().out


def test_every_module_of_commands_is_reachable():
    helpers = {"__init__", "databases", "running"}
    modules = {path.stem for path in Path(cli.__file__).parent.joinpath("commands").glob("*.py")} - helpers

    assert modules == {name.replace("-", "_") for name in cli.COMMANDS}


async def test_an_unknown_command_and_a_bad_setting_are_said_without_a_traceback():
    unknown = await zhangban("frobnicate")
    bad = await zhangban("migrate", DATABASE_POOL_SIZE="many")

    assert (unknown.returncode, bad.returncode) == (2, 2)
    assert "DATABASE_POOL_SIZE must be a int" in bad.stderr
    assert "Traceback" not in unknown.stderr + bad.stderr


async def test_production_without_its_own_servers_or_secrets_is_refused():
    secrets = {"DATA_KEYS": "k:" + "1" * 64, "FINGERPRINT_KEYS": "k:" + "2" * 64, "TOKEN_SECRET": "3" * 64}

    poor = await zhangban("serve", PROFILE="production")
    bare = await zhangban("serve", PROFILE="production", DATABASE_URL="", REDIS_URL="", **secrets)

    assert (poor.returncode, bare.returncode) == (2, 2)
    assert "DATA_KEYS must be set in production" in poor.stderr
    assert "DATABASE_URL and REDIS_URL must be set in production" in bare.stderr


async def test_migrating_makes_the_tables_and_again_changes_nothing(empty_database: str):
    first = await zhangban("migrate", DATABASE_URL=empty_database)
    again = await zhangban("migrate", DATABASE_URL=empty_database)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert "migration 0001" in first.stderr
    assert "migration 0001" not in again.stderr


async def test_the_doctor_sends_an_unprepared_database_to_migrate_and_is_content_afterwards():
    bare = urlunsplit(urlsplit(settings().database_url)._replace(path="/postgres"))

    before = await zhangban("doctor", "--json", DATABASE_URL=bare)
    after = await zhangban("doctor", "--json")

    assert before.returncode == 1
    told = json.loads(before.stdout)
    assert [(each["about"], each["remedy"]) for each in told["remarks"] if each["weight"] == "broken"] == [
        ("migrations", "run zhangban migrate")
    ]
    assert after.returncode == 0, after.stdout
    assert json.loads(after.stdout)["ok"] is True


async def test_the_doctor_judges_for_another_profile_than_the_one_in_force():
    done = await zhangban("doctor", "--profile", "production")

    assert done.returncode == 1
    assert "DATA_KEYS is the built-in development secret" in done.stdout
    assert "Not ready for production" in done.stdout


async def test_the_description_needs_no_server():
    nowhere = {"DATABASE_URL": "postgresql://a@127.0.0.1:1/b", "REDIS_URL": "redis://127.0.0.1:1/0"}

    done = await zhangban("openapi", **nowhere)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["openapi"].startswith("3.1")


async def test_a_whole_ledger_is_called_whole():
    done = await zhangban("verify-audit", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ok": True, "findings": []}


async def test_an_anchor_that_is_none_is_said_plainly(tmp_path: Path):
    (tmp_path / "anchors").write_text("nonsense\n")

    done = await zhangban("verify-audit", "--anchor", str(tmp_path / "anchors"))

    assert done.returncode == 2
    assert "is not an anchor" in done.stderr
    assert "Traceback" not in done.stderr


async def test_draining_the_outbox_prints_the_messages_by_state():
    done = await zhangban("outbox-drain", "--once")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"sent": 0, "inbox": 0, "waiting": 0, "dead": 0}


async def test_draining_the_outbox_finds_a_quarantined_message():
    message = await a_message(await a_resident())
    await database.execute(
        "UPDATE messages SET state = 'dead', waiting = false, finished_at = now() WHERE id = $1", message
    )

    done = await zhangban("outbox-drain", "--once")

    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["dead"] == 1


async def test_seeding_prints_what_opens_the_doors_and_again_the_same(empty_database: str):
    first = await zhangban("seed", "--migrate", "--profile", "acceptance", DATABASE_URL=empty_database)
    again = await zhangban("seed", "--profile", "acceptance", DATABASE_URL=empty_database)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert "the database has its newest form" in first.stderr
    assert first.stdout == again.stdout
    assert {"R001", "R050"} <= set(json.loads(first.stdout)["residents"])


@contextmanager
def working(*arguments: str, pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """A worker on the servers of this test, killed at the end if it is still there."""
    worker = subprocess.Popen(
        [*ZHANGBAN, "work", *arguments],
        env=environment(DATABASE_URL=settings().database_url, REDIS_URL=settings().redis_url),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    assert worker.stderr is not None
    try:
        while "zhangban works" not in (line := worker.stderr.readline()):
            assert line, "the worker ended"
        yield worker
    finally:
        worker.kill()
        worker.wait()
        worker.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_gets_a_signal_ends_in_order(number: signal.Signals):
    with working() as worker:
        worker.send_signal(number)

        assert await asyncio.to_thread(worker.wait, 15) == 0


async def test_a_worker_follows_the_holder_of_its_lifeline():
    with ExitStack() as ours:
        theirs = ours.enter_context(lifeline())
        with working("--lifeline", str(theirs), pass_fds=(theirs,)) as worker:
            await asyncio.sleep(0.3)
            assert worker.poll() is None

            ours.close()

            assert await asyncio.to_thread(worker.wait, 15) == 0
