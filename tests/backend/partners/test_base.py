"""The shared client against every fault of the sandbox, over real HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from backend.database import transaction
from backend.partners import partners_from
from backend.partners.base import (
    CALLS,
    PartnerClient,
    PartnerInsecure,
    Repeat,
    Reply,
    Request,
    Wire,
    decoded,
)
from backend.partners.errors import CalledInsideTransaction, PartnerBusy, PartnerUnreachable
from backend.partners.sandbox import Sandbox
from backend.settings import Settings, settings

PATH = "/wxaapi/newtmpl/gettemplate"
SECRET = "very-secret-token-4711"


class Caller:
    """A client of the sandbox that asks one thing."""

    def __init__(self, client: PartnerClient) -> None:
        self.client = client

    async def ask(self, *, repeat: Repeat = Repeat.IF_NEVER_SENT) -> dict[str, Any]:
        request = Request(method="GET", path=PATH, query={"access_token": SECRET}, repeat=repeat)
        return await self.client.send("gettemplate", request, lambda reply: decoded("wechat", reply))


@pytest.fixture
async def caller(sandbox: Sandbox) -> AsyncIterator[Caller]:
    values = replace(settings(), partner_timeout=0.5, partner_connect_timeout=0.3)
    wire = Wire(values)
    yield Caller(PartnerClient("wechat", sandbox.base, wire, values))
    await wire.close()


@pytest.fixture
def unused_socket() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as subscriber:
        yield subscriber


def counted(outcome: str) -> float:
    return CALLS.labels("wechat", "gettemplate", outcome)._value.get()


async def test_an_answer_comes_back_whole(caller: Caller):
    before = counted("ok")

    answer = await caller.ask()

    assert answer["errcode"] == 40001
    assert counted("ok") == before + 1


@pytest.mark.parametrize(
    ("mode", "number", "code", "maybe_done"),
    [
        ("timeout", 0, "timeout", True),
        ("slow", 0, "timeout", True),
        ("reset", 0, "broken-connection", True),
        ("drop_reply", 0, "broken-connection", True),
        ("status", 500, "500", True),
        ("status", 502, "502", True),
        ("status", 503, "503", True),
        ("html", 0, "not-json", True),
        ("broken_json", 0, "not-json", True),
        ("redirect", 0, "redirect", True),
        ("huge", 0, "too-large", True),
    ],
)
async def test_every_fault_is_unreachable_with_its_reason(
    sandbox: Sandbox, caller: Caller, mode: Any, number: int, code: str, maybe_done: bool
):
    sandbox.world.faults.add(PATH, mode, number=number, seconds=3)

    with pytest.raises(PartnerUnreachable) as trouble:
        await caller.ask()

    assert trouble.value.partner_code == code
    assert trouble.value.maybe_done is maybe_done


async def test_429_is_busy(sandbox: Sandbox, caller: Caller):
    sandbox.world.faults.add(PATH, "status", number=429)

    with pytest.raises(PartnerBusy):
        await caller.ask()


async def test_a_hanging_partner_costs_no_more_than_the_bound(sandbox: Sandbox, caller: Caller):
    sandbox.world.faults.add(PATH, "timeout", seconds=3)
    started = time.perf_counter()

    with pytest.raises(PartnerUnreachable):
        await caller.ask(repeat=Repeat.ALWAYS)

    assert time.perf_counter() - started < 2.5


async def test_a_call_that_is_safe_to_repeat_is_repeated(sandbox: Sandbox, caller: Caller):
    sandbox.world.faults.add(PATH, "status", number=502, times=2)

    answer = await caller.ask(repeat=Repeat.ALWAYS)

    assert answer["errcode"] == 40001
    assert sandbox.world.faults.struck == 2


async def test_a_call_that_may_have_been_done_is_not_repeated(sandbox: Sandbox, caller: Caller):
    sandbox.world.faults.add(PATH, "drop_reply", times=1)

    with pytest.raises(PartnerUnreachable):
        await caller.ask()

    assert sandbox.world.faults.struck == 1


async def test_repeating_ends_after_three_attempts(sandbox: Sandbox, caller: Caller):
    sandbox.world.faults.add(PATH, "status", number=502)

    with pytest.raises(PartnerUnreachable):
        await caller.ask(repeat=Repeat.ALWAYS)

    assert sandbox.world.faults.struck == 3


async def test_a_refused_connection_was_never_sent_and_is_repeated(monkeypatch: pytest.MonkeyPatch):
    values = replace(settings(), partner_timeout=5.0)
    wire = Wire(values)
    client = PartnerClient("wechat", "http://127.0.0.1:9", wire, values)
    pauses: list[float] = []

    async def remember(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", remember)
    with pytest.raises(PartnerUnreachable) as trouble:
        await Caller(client).ask()

    await wire.close()
    assert trouble.value.partner_code == "connect"
    assert not trouble.value.maybe_done
    assert len(pauses) == 2
    assert 0.05 <= pauses[0] <= 0.15
    assert 0.1 <= pauses[1] <= 0.3


async def test_after_five_failures_no_call_waits_for_the_partner(sandbox: Sandbox, caller: Caller):
    sandbox.world.faults.add(PATH, "status", number=502)
    for _ in range(5):
        with pytest.raises(PartnerUnreachable):
            await caller.ask()
    struck = sandbox.world.faults.struck

    with pytest.raises(PartnerUnreachable) as trouble:
        await caller.ask()

    assert trouble.value.partner_code == "breaker-open"
    assert trouble.value.retry_after is not None
    assert sandbox.world.faults.struck == struck


async def test_a_cancelled_call_does_not_count_as_a_failure(sandbox: Sandbox, caller: Caller):
    sandbox.world.faults.add(PATH, "timeout", seconds=3, times=6)
    for _ in range(6):
        task = asyncio.create_task(caller.ask())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert (await caller.ask())["errcode"] == 40001


async def test_no_partner_is_called_while_a_transaction_is_open(caller: Caller):
    async with transaction():
        with pytest.raises(CalledInsideTransaction):
            await caller.ask()


async def test_neither_logs_nor_errors_show_the_token(
    sandbox: Sandbox, caller: Caller, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    for mode in ("reset", "status", "html", "timeout"):
        sandbox.world.faults.add(PATH, mode, number=502, seconds=3, times=1)  # type: ignore[arg-type]
        with pytest.raises(PartnerUnreachable) as trouble:
            await caller.ask()
        error: BaseException | None = trouble.value
        while error is not None:
            seen.append(repr(error) + str(error))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)

    ours = [str(vars(record)) for record in caplog.records if record.name.startswith("zhangban")]
    assert len(ours) == 4
    assert SECRET not in "".join(seen + ours)


def test_production_speaks_tls_only():
    values = replace(
        Settings(),
        profile="production",
        data_keys="k1:" + "0" * 64,
        fingerprint_keys="k1:" + "1" * 64,
        token_secret="2" * 64,
        wechat_api_base="http://api.weixin.qq.com",
    )

    with pytest.raises(PartnerInsecure):
        partners_from(values)


async def test_a_certificate_that_no_authority_vouches_for_is_refused(untrusted_server: str):
    values = replace(settings(), partner_timeout=3.0)
    wire = Wire(values)
    client = PartnerClient("wechat", untrusted_server, wire, values)

    with pytest.raises(PartnerUnreachable) as trouble:
        await Caller(client).ask()

    await wire.close()
    assert trouble.value.partner_code == "tls"
    assert not trouble.value.maybe_done


async def test_without_a_gateway_there_is_no_sms(sandbox: Sandbox):
    bundle = partners_from(replace(settings(), sms_api_base=""))

    assert bundle.sms is None
    await bundle.close()


async def test_a_signed_target_is_sent_as_it_was_signed_and_signed_anew_at_every_attempt(
    sandbox: Sandbox, caller: Caller
):
    sandbox.world.faults.add(PATH, "status", number=502, times=2)
    signed: list[str] = []

    def sign(target: str) -> dict[str, str]:
        signed.append(target)
        return {"X-Attempt": str(len(signed))}

    request = Request(method="GET", path=f"{PATH}?a=%7c&b=x+y", repeat=Repeat.ALWAYS, sign=sign)
    await caller.client.send("gettemplate", request, lambda reply: decoded("wechat", reply))

    assert signed == [f"{PATH}?a=%7c&b=x+y"] * 3


async def test_a_caller_that_reads_failures_gets_their_body_and_says_itself_what_they_mean(
    sandbox: Sandbox, caller: Caller
):
    sandbox.world.faults.add(PATH, "status", number=503, times=1)
    seen: list[int] = []

    def read(reply: Reply) -> None:
        seen.append(reply.status)
        raise PartnerBusy("wechat", "told")

    with pytest.raises(PartnerBusy):
        await caller.client.send("gettemplate", Request(method="GET", path=PATH, reads_failures=True), read)

    assert seen == [503]


async def test_the_second_address_is_used_after_no_connection_and_left_when_it_fails_too(sandbox: Sandbox):
    values = replace(settings(), partner_timeout=5.0)
    wire = Wire(values)
    client = PartnerClient("wechat", "http://127.0.0.1:9", wire, values, backup=sandbox.base)

    assert (await Caller(client).ask())["errcode"] == 40001
    assert client._preferred() == sandbox.base
    client._avoid(sandbox.base)
    assert client._preferred() == "http://127.0.0.1:9"

    await wire.close()


async def test_an_answer_that_was_lost_is_not_asked_for_at_another_address(sandbox: Sandbox):
    values = replace(settings(), partner_timeout=2.0)
    wire = Wire(values)
    client = PartnerClient("wechat", sandbox.base, wire, values, backup="http://127.0.0.1:9")
    sandbox.world.faults.add(PATH, "drop_reply", times=2)

    assert (await Caller(client).ask(repeat=Repeat.ALWAYS))["errcode"] == 40001

    assert client._preferred() == sandbox.base
    await wire.close()


async def test_headers_that_came_twice_are_both_seen(unused_socket: socket.socket):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Twice: a\r\nx-twice: b\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, sock=unused_socket)
    wire = Wire(settings())
    client = PartnerClient("wechat", f"http://127.0.0.1:{unused_socket.getsockname()[1]}", wire, settings())

    reply = await client.send("x", Request(method="GET", path="/"), lambda each: each)

    assert reply.headers["x-twice"] == "a, b"
    await wire.close()
    server.close()
