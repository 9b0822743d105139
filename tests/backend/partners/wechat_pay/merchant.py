"""A merchant for tests of the sandbox: requests signed by the PyPI package `wechatpayv3`, which no one here wrote."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from litestar import Litestar, Request, Response, post
from wechatpayv3.utils import aes_decrypt, build_authorization, load_certificate, load_public_key, rsa_sign, rsa_verify

from backend import clock
from backend.partners.sandbox import Sandbox, serving

JSAPI = "/v3/pay/transactions/jsapi"
OPENID = "oTEST0000000000000000000001"


class Merchant:
    """Speaks to the sandbox as our service would, and checks what it answers."""

    def __init__(self, sandbox: Sandbox, client: httpx.AsyncClient) -> None:
        self.sandbox, self.client = sandbox, client
        self.settings = sandbox.pay.settings(sandbox.base)
        self.key = sandbox.pay.world.merchant.key

    async def call(self, method: str, path: str, content: Any = None, **headers: str) -> httpx.Response:
        """A call signed over exactly the bytes that are sent."""
        body = json.dumps(content) if content is not None else ""
        signed = build_authorization(path, method, self.settings["wechat_pay_mchid"], self.serial, self.key, data=body)
        given = {"Authorization": signed, "Content-Type": "application/json", "Accept": "application/json", **headers}
        return await self.client.request(method, path, content=body.encode(), headers=given)

    @property
    def serial(self) -> str:
        """Of the merchant's certificate."""
        return self.settings["wechat_pay_serial"]

    async def code(self, method: str, path: str, content: Any = None) -> tuple[int, str]:
        """Status and code of a refusal."""
        answer = await self.call(method, path, content)
        return answer.status_code, str(answer.json()["code"])

    def order(self, number: str = "P20260101000001", **changes: Any) -> dict[str, Any]:
        """A JSAPI order."""
        made = {
            "appid": self.settings["wechat_pay_appid"],
            "mchid": self.settings["wechat_pay_mchid"],
            "description": "工本费-示例",
            "out_trade_no": number,
            "notify_url": "http://127.0.0.1:9/notify",
            "amount": {"total": 1000, "currency": "CNY"},
            "payer": {"openid": OPENID},
            **changes,
        }
        return {key: value for key, value in made.items() if value is not None}

    async def place(self, number: str = "P20260101000001", **changes: Any) -> str:
        """Have an order; its prepay id."""
        answer = await self.call("POST", JSAPI, self.order(number, **changes))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prepay_id"])

    async def query(self, number: str = "P20260101000001") -> dict[str, Any]:
        """The order as the platform shows it."""
        answer = await self.call(
            "GET", f"/v3/pay/transactions/out-trade-no/{number}?mchid={self.settings['wechat_pay_mchid']}"
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def close(self, number: str = "P20260101000001") -> httpx.Response:
        """Close an order."""
        path = f"/v3/pay/transactions/out-trade-no/{number}/close"
        return await self.call("POST", path, {"mchid": self.settings["wechat_pay_mchid"]})

    async def refund(self, number: str, fen: int, *, of: str = "P20260101000001", **changes: Any) -> httpx.Response:
        """Ask for a refund."""
        amount = {"refund": fen, "total": 1000, "currency": "CNY"}
        content = {"out_trade_no": of, "out_refund_no": number, "amount": amount, **changes}
        return await self.call("POST", "/v3/refund/domestic/refunds", content)

    def pay_sign(self, prepay_id: str, **changes: str) -> dict[str, str]:
        """What wx.requestPayment gets."""
        stamp, nonce, package = str(clock.timestamp()), "0123456789ABCDEF", f"prepay_id={prepay_id}"
        message = "\n".join([self.settings["wechat_pay_appid"], stamp, nonce, package, ""])
        signed = rsa_sign(self.key, message)
        return {
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": signed,
            **changes,
        }

    def is_from_platform(self, headers: Any, body: bytes) -> bool:
        """Whether the platform signed it: certificates and public key as the foreign package checks them."""
        serial = headers["wechatpay-serial"]
        if serial == self.settings["wechat_pay_public_key_id"]:
            key = load_public_key(self.settings["wechat_pay_public_key"])
        else:
            listed = {each.serial: each.pem for each in self.sandbox.pay.world.keys.listed}
            key = load_certificate(listed[serial]).public_key()
        stamp, nonce = headers["wechatpay-timestamp"], headers["wechatpay-nonce"]
        return bool(rsa_verify(stamp, nonce, body.decode(), headers["wechatpay-signature"], key))

    def opened(self, body: bytes) -> dict[str, Any]:
        """The plaintext of a notice."""
        resource = json.loads(body)["resource"]
        nonce, sealed, data = resource["nonce"], resource["ciphertext"], resource.get("associated_data", "")
        return dict(json.loads(aes_decrypt(nonce, sealed, data, self.settings["wechat_pay_api_v3_key"])))


class Receiver:
    """A callback address that keeps its requests and answers with `answers`, the last of them for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.names: list[list[str]] = []
        """The names of the headers of each, as often as they came."""
        self.answers: list[int] = [204]
        self.words: bytes = b""

    def app(self) -> Litestar:
        """The app behind the address."""

        @post("/notify", status_code=200)
        async def notify(request: Request[Any, Any, Any]) -> Response[bytes]:
            self.received.append((dict(request.headers.items()), await request.body()))
            self.names.append([name.decode().lower() for name, _ in request.scope["headers"]])
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return Response(self.words if status == 200 else b"", status_code=status, media_type="text/plain")

        return Litestar([notify], openapi_config=None)


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    """A receiver over real HTTP."""
    receiver, subscriber = Receiver(), socket.create_server(("127.0.0.1", 0))
    receiver.url = f"http://127.0.0.1:{subscriber.getsockname()[1]}/notify"
    async with serving(receiver.app(), subscriber):
        yield receiver
