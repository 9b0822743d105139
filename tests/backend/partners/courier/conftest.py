"""A courier that answers what a test sets, over real HTTP, and records its requests."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from backend.partners import Partners, partners_from
from backend.partners.courier.port import ParcelOrder, Party
from backend.partners.sandbox import Sandbox, serving
from backend.settings import Settings, settings, using
from tests.backend.partners.courier.ear import Ear

SALT = "salt-of-this-test"
TOKEN = "t" * 40


@dataclass
class Courier:
    """`says` is answered in turn, the last of it for ever."""

    base: str = ""
    says: list[tuple[int, bytes]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def say(self, *answers: Any, status: int = 200) -> None:
        self.says = [(status, each if isinstance(each, bytes) else msgspec.json.encode(each)) for each in answers]

    @property
    def form(self) -> dict[str, str]:
        """The fields of the last question."""
        return self.asked[-1][1]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked.append((scope["path"], dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))))
        status, content = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def courier() -> AsyncIterator[Courier]:
    each = Courier()
    subscriber = socket.create_server(("127.0.0.1", 0))
    each.base = f"http://127.0.0.1:{subscriber.getsockname()[1]}"
    async with serving(each, subscriber):
        yield each


def values_for(base: str, **changes: Any) -> Settings:
    """All four couriers switched on at one address."""
    given: dict[str, Any] = {
        "partner_timeout": 2.0,
        "public_base": "https://zhangban.example",
        "courier_push_token": TOKEN,
        "kuaidi100_api_base": base,
        "kuaidi100_key": "key-of-100",
        "kuaidi100_customer": "customer-of-100",
        "kuaidi100_salt": SALT,
        "sf_api_base": f"{base}/std/service",
        "sf_partner_id": "partner",
        "sf_checkword": "checkword",
        "sf_monthly_card": "7551234567",
        "sf_label_template": "fm_76130_standard_partner",
        "ems_api_base": f"{base}/amp/api/open",
        "ems_sender_no": "1100000000000",
        "ems_authorization": "authorization",
        "ems_sign_key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "kdniao_api_base": f"{base}/api/dist",
        "kdniao_business_id": "1234567",
        "kdniao_app_key": "app-key",
    }
    return replace(settings(), **{**given, **changes})


@pytest.fixture
async def ours(courier: Courier) -> AsyncIterator[Partners]:
    """Our side of that courier."""
    bundle = partners_from(values_for(courier.base))
    yield bundle
    await bundle.close()


@pytest.fixture
async def ear(sandbox: Sandbox) -> AsyncIterator[Ear]:
    """Our side of the simulated couriers, where nothing happens unless a test says so."""
    with using(public_base="http://zhangban.test"):
        bundle = partners_from(settings())
        each = Ear(sandbox, bundle)
        sandbox.couriers.pushes.post = each.post
        sandbox.couriers.push_to("http://zhangban.test/v1/callbacks/courier")
        sandbox.couriers.rule(auto=False)
        yield each
        await bundle.close()


def a_parcel(**changes: Any) -> ParcelOrder:
    """What a hall sends to a resident."""
    given: dict[str, Any] = {
        "number": "D20260102ABCDEFGH1",
        "sender": Party(
            name="政务大厅", phone="043100000000", region=("吉林省", "长春市", "南关区"), street="人民大街1号"
        ),
        "receiver": Party(
            name="王小明", phone="13800000001", region=("北京市", "市辖区", "东城区"), street="长安街2号"
        ),
        "contents": "居住证",
    }
    return ParcelOrder(**{**given, **changes})
