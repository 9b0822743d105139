"""The doctor's eyes: what is missing or unsafe is said, and nothing is said of what is well."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from backend import cache, clock, database, diagnosis
from backend.diagnosis import Remark
from backend.partners.sandbox_keys import private_pem, rsa_key
from backend.settings import Settings, settings, using

WELL = {
    "sandbox": False,
    "data_keys": "k1:" + "a1" * 32,
    "fingerprint_keys": "k1:" + "b2" * 32,
    "token_secret": "c3" * 32,
    "database_url": "postgresql://zhangban@db.internal/zhangban?sslmode=verify-full",
    "redis_url": "rediss://cache.internal/0",
    "public_base": "https://zw.example.gov.cn",
    "trusted_proxies": "10.0.0.0/8",
    "anchor_file": "/mnt/anchors/ledger.jsonl",
    "wechat_appid": "wx0000000000000000",
    "wechat_secret": "d4" * 16,
    "wechat_push_token": "token",
    "wechat_push_aes_key": "e" * 43,
    "wechat_oa_appid": "wx1111111111111111",
    "notification_templates": "/etc/zhangban/templates.toml",
    "sms_api_base": "https://sms.example.cn",
    "sms_secret_id": "AKID",
    "sms_secret_key": "1" * 32,
    "sms_app_id": "1400000000",
    "sms_sign_name": "掌办",
    "sms_push_token": "2" * 32,
    "wechat_pay_mchid": "1900000109",
    "wechat_pay_appid": "wx0000000000000000",
    "wechat_pay_serial": "3775B6A45ACD588826D15E583A95F5DD00000000",
    "wechat_pay_key": private_pem(rsa_key("merchant of a good configuration")),
    "wechat_pay_api_v3_key": "f" * 32,
    "wechat_pay_v2_key": "0" * 32,
}


@pytest.fixture(autouse=True)
async def _as_before() -> AsyncIterator[None]:
    """The doctor closes behind itself what the process has open; the other tests want it open."""
    yield
    await database.connect()
    await cache.connect()


def remarked(remarks: list[Remark], *, fatal: bool = True) -> set[str]:
    """What the remarks are about."""
    return {each.about for each in remarks if each.fatal == fatal}


def of_settings(**changes: object) -> list[Remark]:
    """The remarks on a good production configuration with these changes."""
    values = {**WELL, **changes}
    with using(**values):
        return diagnosis.of_settings(settings(), production=True)


def test_nothing_is_said_of_a_good_production_configuration():
    assert of_settings() == []


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"wechat_pay_key": "rubbish"}, "WECHAT_PAY_KEY"),
        ({"wechat_pay_key": "", "wechat_pay_key_file": "/nowhere.pem"}, "WECHAT_PAY_KEY_FILE"),
        ({"wechat_pay_api_v3_key": "short"}, "WECHAT_PAY_API_V3_KEY"),
        ({"wechat_pay_serial": "F5765756002FDD77"}, "WECHAT_PAY_SERIAL"),
        ({"wechat_pay_api_base": "http://127.0.0.1:18080"}, "WECHAT_PAY_API_BASE"),
        ({"public_base": "https://zw.example.gov.cn/?from=pay"}, "PUBLIC_BASE"),
        ({"alipay_app_id": "2021000000000001"}, "ALIPAY_KEY"),
    ],
)
def test_a_payment_channel_that_could_not_take_money_is_named_before_it_is_started(
    changes: dict[str, object], about: str
):
    assert about in remarked(of_settings(**changes))


def test_a_service_without_a_payment_channel_is_a_remark_and_no_fault():
    remarks = of_settings(wechat_pay_mchid="")

    assert remarked(remarks) == set()
    assert remarked(remarks, fatal=False) == {"WECHAT_PAY_MCHID"}


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"data_keys": "development-only"}, "DATA_KEYS"),
        ({"data_keys": "k1:short"}, "DATA_KEYS"),
        ({"fingerprint_keys": "development-only"}, "FINGERPRINT_KEYS"),
        ({"token_secret": "development-only"}, "TOKEN_SECRET"),
        ({"token_secret": "short"}, "TOKEN_SECRET"),
        ({"database_url": ""}, "DATABASE_URL"),
        ({"database_url": "postgresql://a@10.1.2.3/b"}, "DATABASE_URL"),
        ({"redis_url": ""}, "REDIS_URL"),
        ({"redis_url": "redis://cache.internal/0"}, "REDIS_URL"),
        ({"shutdown_seconds": 60.0}, "DRAIN_SECONDS, SHUTDOWN_SECONDS"),
        ({"sandbox": True}, "SANDBOX"),
        ({"public_base": "http://zw.example.gov.cn"}, "PUBLIC_BASE"),
        ({"trusted_proxies": ""}, "TRUSTED_PROXIES"),
        ({"wechat_appid": ""}, "WECHAT_APPID"),
        ({"wechat_secret": ""}, "WECHAT_SECRET"),
        ({"wechat_push_token": ""}, "WECHAT_PUSH_TOKEN"),
        ({"wechat_push_aes_key": ""}, "WECHAT_PUSH_AES_KEY"),
        ({"wechat_push_mode": "plain"}, "WECHAT_PUSH_MODE"),
        ({"wechat_api_base": "http://127.0.0.1:18080"}, "WECHAT_API_BASE"),
        ({"wechat_miniprogram_state": "trial"}, "WECHAT_MINIPROGRAM_STATE"),
        ({"notification_templates": ""}, "NOTIFICATION_TEMPLATES"),
    ],
)
def test_one_thing_that_is_not_good_enough_for_production_is_named(changes: dict[str, object], about: str):
    assert remarked(of_settings(**changes)) == {about}


@pytest.mark.parametrize("url", ["postgresql://a@/b?host=/run/pg", "postgresql://a@127.0.0.1/b", "postgresql://a@db/b"])
def test_a_database_on_this_machine_or_in_the_same_network_needs_no_tls(url: str):
    assert of_settings(database_url=url) == []


def test_what_a_service_can_do_without_is_only_a_note():
    remarks = of_settings(wechat_oa_appid="", sms_api_base="", anchor_file="")

    assert remarked(remarks) == set()
    assert remarked(remarks, fatal=False) == {"WECHAT_OA_APPID", "SMS_API_BASE", "ANCHOR_FILE"}


def test_development_gets_the_same_remarks_and_is_stopped_by_none():
    remarks = diagnosis.of_settings(Settings(), production=False)

    assert remarked(remarks) == set()
    assert {"DATA_KEYS", "DATABASE_URL", "WECHAT_APPID"} <= remarked(remarks, fatal=False)


def test_a_key_ring_that_cannot_be_read_stops_development_too():
    with using(data_keys="nonsense"):
        remarks = diagnosis.of_settings(settings(), production=False)

    assert remarked(remarks) == {"DATA_KEYS"}


@pytest.fixture
async def a_plain_user() -> AsyncIterator[str]:
    """The address of our database for a user that is nothing but a member of the service's role."""
    owner = await asyncpg.connect(**database.credentials(settings().database_url))
    name = f"doctor_{os.getpid()}"  # roles belong to the server, which the workers share
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'sample' IN ROLE \"{settings().database_role}\"")
    parts = urlsplit(settings().database_url)
    yield urlunsplit(parts._replace(netloc=f"{name}:sample@" + parts.netloc.rpartition("@")[2]))
    await owner.execute(f"DROP ROLE {name}")
    await owner.close()


async def test_a_database_that_keeps_the_ledger_from_us_is_well(a_plain_user: str):
    connection = await asyncpg.connect(a_plain_user)
    facts = await connection.fetchrow(diagnosis._FACTS, settings().database_role)

    remarks = await diagnosis._role(connection, facts)

    await connection.close()
    assert remarks == []


async def test_a_user_and_a_role_that_may_change_the_ledger_are_both_named():
    owner = await asyncpg.connect(**database.credentials(settings().database_url))
    await owner.execute(f'GRANT UPDATE ON events TO "{settings().database_role}"')
    try:
        remarks = await diagnosis.of_database(production=True)
    finally:
        await owner.execute(f'REVOKE UPDATE ON events FROM "{settings().database_role}"')
        await owner.close()

    assert {"DATABASE_ROLE", "DATABASE_URL"} <= remarked(remarks)
    assert any("can change or delete rows of events" in each.what for each in remarks)


def test_a_database_that_forgets_is_unsafe_and_an_old_one_is_broken():
    facts = {
        "version": 14,
        "encoding": "SQL_ASCII",
        "connections": 10,
        "fsync": False,
        "full_page_writes": False,
        "synchronous_commit": False,
    }

    remarks = list(diagnosis._guarantees(facts))

    assert [each.weight for each in remarks] == ["broken", "broken", "unsafe", "unsafe", "unsafe", "missing"]


async def test_clocks_that_disagree_are_named():
    with clock.travel(by=timedelta(seconds=30)):
        remarks = await diagnosis.of_database(production=True)

    assert "clock" in remarked(remarks)
    assert "clock" not in remarked(await diagnosis.of_database(production=True))


async def test_a_year_whose_holidays_are_unknown_is_named():
    with clock.travel(to=datetime(2044, 5, 1, tzinfo=clock.SHANGHAI)):
        remarks = await diagnosis.of_database(production=True)

    assert "calendar" in remarked(remarks)


async def test_a_database_without_our_tables_is_not_ready():
    parts = urlsplit(settings().database_url)
    with using(database_url=urlunsplit(parts._replace(path="/postgres"))):
        remarks = await diagnosis.of_database(production=False)

    assert remarked(remarks) == {"migrations"}


async def test_servers_that_do_not_answer_are_named_in_every_profile():
    with using(database_url="postgresql://a@127.0.0.1:1/b", redis_url="redis://127.0.0.1:1/0"):
        remarks = await diagnosis.of_everything(production=False)

    assert remarked(remarks) == {"DATABASE_URL", "REDIS_URL"}
