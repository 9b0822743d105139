"""What an operator is handed (the example of settings, compose, nginx, the image) fits the service that they run."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from litestar import Litestar

from api.problems import document
from backend.appointments import board
from backend.deliveries import callbacks
from backend.errors import DomainError, TooLarge, Unavailable
from backend.logs import request_id
from backend.partner_settings import PartnerSettings
from backend.partners.checking import SHORTEST_TOKEN
from backend.partners.sms import receipts
from backend.settings import Settings, SettingsError
from tests.callers import operations

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "zhangban.env.example").read_text("utf-8")
NGINX = (ROOT / "docs/deploy/nginx.conf").read_text("utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text("utf-8")
KNOWN = {each.name.upper(): each for each in fields(Settings)}
INSTEAD = {"WECHAT_PAY_KEY", "WECHAT_PAY_PUBLIC_KEY", "ALIPAY_KEY", "ALIPAY_PUBLIC_KEY"}
"""Keys that the example names as files."""
EMBEDDED = {"DATA_DIR"}
"""Only for servers inside the process, which production has not."""


def lines() -> list[tuple[str, str]]:
    """Name and value of every line of the example that sets something."""
    found = [each.partition("=") for each in EXAMPLE.splitlines() if each and not each.startswith("#")]
    return [(name, value) for name, _, value in found]


def part(start: str) -> str:
    """A block of compose.yaml up to the next one of the same depth."""
    found = re.search(
        rf"^{re.escape(start)}\n((?:{start[: len(start) - len(start.lstrip())]}[ #].*\n|\n)+)", COMPOSE, re.MULTILINE
    )
    assert found is not None
    return found[1]


def of_compose() -> set[str]:
    """What compose itself sets for processes of the service."""
    return set(re.findall(r"^ +([A-Z][A-Z_]+): ", part("x-zhangban: &zhangban") + part("  migrate:"), re.MULTILINE))


def test_every_line_of_the_example_is_a_setting_and_stands_there_once():
    names = [name for name, _ in lines()]

    assert set(names) <= KNOWN.keys()
    assert len(names) == len(set(names))


def test_every_setting_without_a_default_is_in_the_example():
    empty = {name for name, each in KNOWN.items() if each.default == "" or each.default is MISSING}

    assert empty - {name for name, _ in lines()} - of_compose() - INSTEAD - EMBEDDED == set()


def test_what_the_example_sets_already_is_what_the_service_does_without_it():
    given = {name: value for name, value in lines() if value and name != "PUBLIC_BASE"}

    assert {name: str(KNOWN[name].default) for name in given} == given


def test_the_example_has_no_secret_and_starts_only_when_some_are_filled_in():
    environment = {**dict(lines()), "PROFILE": "production"}
    own = {"DATA_KEYS": "k1:" + "a" * 64, "FINGERPRINT_KEYS": "k1:" + "b" * 64, "TOKEN_SECRET": "c" * 48}

    with pytest.raises(SettingsError, match="must be set in production"):
        Settings.from_environment(environment)
    assert Settings.from_environment({**environment, **own}).profile == "production"


def test_compose_sets_only_what_exists_and_nothing_that_the_example_sets_too():
    assert of_compose() <= KNOWN.keys()
    assert of_compose() & {name for name, _ in lines()} == set()


def test_every_file_that_the_example_can_name_is_in_a_folder_that_compose_mounts():
    folders = {value.rpartition("/")[0] for value in re.findall(r"/\S+/\S+\.(?:pem|toml)", EXAMPLE)}

    assert folders == {"/etc/zhangban"}
    assert 'volumes: ["./files:/etc/zhangban:ro"]' in part("x-zhangban: &zhangban")
    assert all("<<: *zhangban" in part(f"  {name}:") for name in ("migrate", "api", "worker"))


def test_the_example_asks_for_tokens_that_are_long_enough():
    recipe = re.findall(r"token_urlsafe\((\d+)\)", EXAMPLE)

    assert min(map(int, recipe)) >= SHORTEST_TOKEN


def masked(address: str) -> str:
    """What nginx writes down of an address."""
    pattern, shown = re.findall(r"^\s*~(\^\S+)\s+(\S+);", NGINX, re.MULTILINE)[0]
    found = re.match(pattern.replace("(?<", "(?P<"), address)
    return address if found is None else re.sub(r"\$(\w+)", lambda name: found[name[1]], shown)


def test_no_address_whose_end_is_a_secret_is_written_down_by_nginx(app: Litestar):
    callbacks = [each.path for each in operations(app) if each.path.startswith("/v1/callbacks/")]
    secret = [each for each in callbacks if "{token}" in each]

    assert len(secret) == 2
    for path in secret:
        for name in ("sf", "tencent", "aliyun"):
            assert "S3CRET" not in masked(path.format(name=name, token="S3CRET")), path
    for path in set(callbacks) - set(secret):
        assert masked(path) == path
    assert re.findall(r"error_log \S+ (\w+);", NGINX) == ["crit"]  # its own errors name the whole address


@pytest.mark.parametrize("problem", [TooLarge, Unavailable])
def test_what_nginx_itself_answers_is_the_problem_document_of_the_service(problem: type[DomainError]):
    (answer,) = re.findall(rf"return {problem.status} '(.+)';", NGINX)
    before = request_id.set("$request_id")
    try:
        assert json.loads(answer) == document(problem())
    finally:
        request_id.reset(before)
    assert f"error_page {'413' if problem is TooLarge else '502 504'} = @{problem.code};" in NGINX


def size(text: str) -> int:
    return int(text[:-1]) * {"k": 1024, "m": 1024**2}[text[-1]]


def test_nginx_lets_through_what_the_service_reads_and_no_more():
    all_of_it, of_partners = re.findall(r"client_max_body_size (\w+);", NGINX)

    assert size(all_of_it) == Settings().body_limit
    assert size(of_partners) == max(callbacks.LARGEST, receipts.LARGEST)


def test_nginx_waits_longer_than_the_service_thinks():
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", NGINX)

    assert int(seconds) > Settings().request_timeout
    assert int(seconds) > board.HEARTBEAT  # of a hall where nothing happens


def test_the_image_is_made_of_every_package_of_the_service():
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    packages = {each.parent.name for each in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE))
    allowed = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))

    assert packages <= copied
    assert packages <= allowed | {"LICENSE"}


def test_every_partner_that_can_be_switched_on_is_named():
    switches = {"SMS_API_BASE", "WECHAT_PAY_MCHID", "ALIPAY_APP_ID", "KUAIDI100_KEY", "SF_PARTNER_ID", "EMS_SENDER_NO",
                "KDNIAO_BUSINESS_ID", "FISCAL_RECEIPT_BASE", "WECHAT_OA_APPID"}  # fmt: skip

    assert switches <= {each.name.upper() for each in fields(PartnerSettings)}
    assert switches <= {name for name, _ in lines()}
