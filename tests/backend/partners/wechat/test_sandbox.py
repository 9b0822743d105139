"""The sandbox answers as WeChat does: HTTP 200 with an errcode, tokens that shrink and die, quotas that end."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from backend.partners.sandbox import Sandbox, serve_sandbox
from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.messages import send_template
from backend.partners.wechat.sandbox.tokens import TokenDesk
from backend.partners.wechat.sandbox.world import DEFAULTS, Template
from backend.settings import Settings, SettingsError, environment

STABLE = "/cgi-bin/stable_token"


@pytest.fixture
async def wechat(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox.base) as each:
        yield each


def credentials(sandbox: Sandbox, **changes: Any) -> dict[str, Any]:
    app = sandbox.world.mini_program
    given = {"grant_type": "client_credential", "appid": app.appid, "secret": app.secret}
    return {key: value for key, value in {**given, **changes}.items() if value is not None}


async def asked(wechat: httpx.AsyncClient, method: str, path: str, **more: Any) -> Any:
    answer = await wechat.request(method, path, **more)
    assert answer.status_code == 200
    return answer.json()


async def errcode(wechat: httpx.AsyncClient, method: str, path: str, **more: Any) -> int:
    body = await asked(wechat, method, path, **more)
    assert re.search(r" rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$", body["errmsg"])
    return int(body["errcode"])


async def token_of(wechat: httpx.AsyncClient, sandbox: Sandbox) -> str:
    return str((await asked(wechat, "POST", STABLE, json=credentials(sandbox)))["access_token"])


async def test_the_stable_token_stays_the_same_and_shrinks(wechat: httpx.AsyncClient, sandbox: Sandbox):
    first = await asked(wechat, "POST", STABLE, json=credentials(sandbox))
    sandbox.world.advance(6000)
    second = await asked(wechat, "POST", STABLE, json=credentials(sandbox))
    sandbox.world.advance(901)
    third = await asked(wechat, "POST", STABLE, json=credentials(sandbox))

    assert set(first) == {"access_token", "expires_in"}
    assert first["access_token"] == second["access_token"] != third["access_token"]
    assert 7198 <= first["expires_in"] <= 7200
    assert 1198 <= second["expires_in"] <= 1200
    listed = await asked(wechat, "GET", "/wxaapi/newtmpl/gettemplate", params={"access_token": first["access_token"]})
    assert listed["errcode"] == 0, "the old one lives on until its own end"


async def test_a_forced_token_kills_the_old_one(wechat: httpx.AsyncClient, sandbox: Sandbox):
    old = await token_of(wechat, sandbox)
    forced = await asked(wechat, "POST", STABLE, json=credentials(sandbox, force_refresh=True))

    assert forced["access_token"] != old
    assert await errcode(wechat, "GET", "/wxaapi/newtmpl/gettemplate", params={"access_token": old}) == 40001


@pytest.mark.usefixtures("noon")
async def test_forcing_is_limited(wechat: httpx.AsyncClient, sandbox: Sandbox):
    force = credentials(sandbox, force_refresh=True)
    await asked(wechat, "POST", STABLE, json=force)
    assert await errcode(wechat, "POST", STABLE, json=force) == 45011
    for _ in range(19):
        sandbox.world.advance(30)
        assert "access_token" in await asked(wechat, "POST", STABLE, json=force)
    sandbox.world.advance(30)
    assert await errcode(wechat, "POST", STABLE, json=force) == 45009


def test_a_desk_has_a_bound_on_questions_per_minute(sandbox: Sandbox):
    desk = TokenDesk(sandbox.world.now)
    desk._asked = [sandbox.world.now()] * 10_000

    with pytest.raises(Errcode) as refusal:
        desk.stable(force=False)
    assert refusal.value.code == 45011


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_type": "authorization_code"}, 40002),
        ({"appid": None}, 41002),
        ({"secret": None}, 41004),
        ({"appid": "wxnobody"}, 40013),
        ({"secret": "wrong"}, 40125),
    ],
)
async def test_credentials_are_checked(wechat: httpx.AsyncClient, sandbox: Sandbox, changes: Any, code: int):
    assert await errcode(wechat, "POST", STABLE, json=credentials(sandbox, **changes)) == code


async def test_the_manner_of_asking_is_checked(wechat: httpx.AsyncClient, sandbox: Sandbox):
    token = await token_of(wechat, sandbox)
    send = "/cgi-bin/message/subscribe/send"

    assert await errcode(wechat, "GET", STABLE) == 43002
    assert await errcode(wechat, "POST", STABLE, content=b"{") == 47001
    assert await errcode(wechat, "POST", STABLE, content=b"[]") == 47001
    assert await errcode(wechat, "POST", send, json={}) == 41001
    assert await errcode(wechat, "POST", send, params={"access_token": "short"}, json={}) == 40014
    assert await errcode(wechat, "POST", send, params={"access_token": "x" * 100}, json={}) == 40001
    template = "/cgi-bin/message/template/send"
    assert await errcode(wechat, "POST", template, params={"access_token": token}, json={}) == 48001
    sandbox.world.advance(7200)
    assert await errcode(wechat, "POST", send, params={"access_token": token}, json={}) == 42001


async def test_a_session_carries_no_errcode(wechat: httpx.AsyncClient, sandbox: Sandbox):
    code = sandbox.world.mint("login", sandbox.world.persona("陈静"))
    query = {**credentials(sandbox, grant_type="authorization_code"), "js_code": code}

    assert set(await asked(wechat, "GET", "/sns/jscode2session", params=query)) == {"openid", "session_key", "unionid"}
    assert await errcode(wechat, "GET", "/sns/jscode2session", params={**query, "grant_type": "x"}) == 40002


async def test_unknown_templates_are_taken_only_when_asked_for(wechat: httpx.AsyncClient, sandbox: Sandbox):
    token = await token_of(wechat, sandbox)
    someone = sandbox.world.persona("陈静", quota={"NEW": 1})
    body = {"touser": someone.openid, "template_id": "NEW", "data": {"thing1": {"value": "你好"}}}
    ask = ("POST", "/cgi-bin/message/subscribe/send")

    assert await errcode(wechat, *ask, params={"access_token": token}, json=body) == 40037
    sandbox.world.open_templates = True
    assert (await asked(wechat, *ask, params={"access_token": token}, json=body))["errcode"] == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"data": "text"}, 47003),
        ({"data": {"thing1": "bare"}}, 47003),
        ({"data": {"thing1": {"value": "好" * 21}}}, 47003),
        ({"miniprogram_state": "beta"}, 47003),
        ({"lang": "de_DE"}, 47003),
    ],
)
async def test_a_subscribe_message_is_checked(wechat: httpx.AsyncClient, sandbox: Sandbox, changes: Any, code: int):
    token = await token_of(wechat, sandbox)
    sandbox.world.mini_program.templates["T"] = Template("T", "进度", ("thing1",))
    someone = sandbox.world.persona("陈静", quota={"T": 1})
    body = {"touser": someone.openid, "template_id": "T", "data": {"thing1": {"value": "你好"}}, **changes}

    assert (
        await errcode(wechat, "POST", "/cgi-bin/message/subscribe/send", params={"access_token": token}, json=body)
        == code
    )


@pytest.mark.parametrize(
    ("changes", "code"), [({"client_msg_id": "x" * 33}, 40097), ({"miniprogram": {"appid": "wxother"}}, 40165)]
)
async def test_a_template_message_is_checked(sandbox: Sandbox, changes: Any, code: int):
    account = sandbox.world.official_account
    account.templates["O"] = Template("O", "进度")
    someone = sandbox.world.persona("陈静", follows=True)
    body = {"touser": someone.oa_openid, "template_id": "O", "data": {"thing1": {"value": "你好"}}, **changes}

    with pytest.raises(Errcode) as refusal:
        await send_template(sandbox.world, sandbox.pusher, account, body)
    assert refusal.value.code == code


def test_people_are_the_same_in_every_run(sandbox: Sandbox):
    first = sandbox.world.persona("陈静")
    other = Sandbox.of(sandbox.values).world.persona("陈静")

    assert (first.openid, first.oa_openid, first.unionid, first.phone) == (
        other.openid,
        other.oa_openid,
        other.unionid,
        other.phone,
    )
    assert len({first.openid, first.oa_openid, first.unionid}) == 3
    assert len(first.openid) == 28


def test_production_has_no_sandbox():
    values = replace(
        Settings(),
        profile="production",
        data_keys="k1:" + "0" * 64,
        fingerprint_keys="k1:" + "1" * 64,
        token_secret="2" * 64,
    )

    with pytest.raises(SettingsError):
        Sandbox.of(values)


async def test_names_of_the_settings_come_before_the_sandbox_own():
    async with serve_sandbox(replace(Settings(), wechat_appid="wx123", wechat_secret="s")) as sandbox:
        put = sandbox.settings()

    assert sandbox.world.mini_program.appid == "wx123"
    assert "wechat_appid" not in put
    assert put["wechat_oa_appid"] == DEFAULTS["wechat_oa_appid"]
    assert put["wechat_api_base"] == put["sms_api_base"] == sandbox.base


async def test_it_runs_as_a_process_of_its_own():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend.partners.sandbox",
        "--port",
        str(port),
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            made = await client.post("/sandbox/personas", json={"name": "陈静"})
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 10)

    assert f"http://127.0.0.1:{port}/sandbox" in line
    assert made.status_code == 201
