"""One call of API v3: signed over the bytes that are sent, and accepted only when the platform signed the answer.

An answer that claims success must be signed, also one without content (204). A refusal is verified when it is signed
and taken as it is when it is not, as the platform leaves some of them unsigned (401): no money is accepted or given up
for a refusal alone, a query follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from backend.partners.base import PartnerClient, Repeat, Reply, Request, Wire
from backend.partners.errors import PartnerUnreachable
from backend.partners.paying import exact_json
from backend.partners.paying.port import ChannelBillInvalid, PaymentNoticeSignatureInvalid
from backend.partners.wechat_pay.errors import NAME, Errors, problem_of
from backend.partners.wechat_pay.merchant import Merchant
from backend.partners.wechat_pay.platform_keys import PlatformKeys
from backend.partners.wechat_pay.signing import authorization
from backend.partners.wechat_pay.verifying import Signed, is_signed, signed
from backend.settings import Settings

_HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "zhangban"}


class WeChatPayApi:
    """Calls of one merchant."""

    def __init__(self, merchant: Merchant, wire: Wire, values: Settings) -> None:
        base, backup = values.wechat_pay_api_base, values.wechat_pay_backup_base
        self.merchant = merchant
        self.client = PartnerClient(NAME, base, wire, values, backup=backup)
        self.keys = PlatformKeys(
            merchant,
            self._certificates,
            oldest=values.wechat_pay_certificate_seconds,
            pause=values.wechat_pay_certificate_pause,
        )
        self._bill_limit = values.wechat_pay_bill_limit
        self._bill_seconds = values.wechat_pay_bill_timeout

    async def get(self, call: str, path: str, query: Mapping[str, str], *, errors: Errors) -> dict[str, Any]:
        """Query. Raises the errors of `errors` and COMMON, PartnerBusy, PartnerUnreachable."""
        target = f"{path}?{urlencode(query)}" if query else path
        return await self._send(call, self._request("GET", target, b""), errors)

    async def post(
        self,
        call: str,
        path: str,
        content: Mapping[str, Any],
        *,
        errors: Errors,
        repeat: Repeat = Repeat.ALWAYS,
        serial: str = "",
    ) -> dict[str, Any]:
        """Send a command that our own number makes safe to repeat; {} when the answer is 204. `serial` names the key
        that fields inside are sealed for. Raises as `get`."""
        body = msgspec.json.encode(content)
        return await self._send(call, self._request("POST", path, body, repeat=repeat, serial=serial), errors)

    async def download(self, address: str, *, errors: Errors) -> bytes:
        """The file at an address that a signed answer named. Its answer is not signed: check its hash.

        Raises ChannelBillInvalid when the address is not the platform's: our signature goes nowhere else.
        """
        parts = urlsplit(address)
        if f"{parts.scheme}://{parts.netloc}" not in {_origin(base) for base in self.client.bases}:
            raise ChannelBillInvalid(NAME, "foreign-address")
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        request = msgspec.structs.replace(
            self._request("GET", target, b""), limit=self._bill_limit, seconds=self._bill_seconds
        )
        return (await self.client.send("bill_download", request, _unsigned(errors))).body

    async def _certificates(self) -> Reply:
        # `platform_keys.opened` verifies them: it needs the keys inside.
        return await self.client.send("certificates", self._request("GET", "/v3/certificates", b""), _unsigned({}))

    def _request(
        self, method: str, target: str, body: bytes, *, repeat: Repeat = Repeat.ALWAYS, serial: str = ""
    ) -> Request:
        def sign(sent: str) -> Mapping[str, str]:
            return {"Authorization": authorization(self.merchant, method, sent, body)}

        # With a public key configured, answers shall be signed with it.
        key_serial = serial or self.merchant.public_key_id
        headers = {**_HEADERS, "Wechatpay-Serial": key_serial} if key_serial else _HEADERS
        return Request(
            method=method,
            path=target,
            body=body or None,
            headers=headers,
            repeat=repeat,
            sign=sign,
            reads_failures=True,
        )

    async def _send(self, call: str, request: Request, errors: Errors) -> dict[str, Any]:
        reply, unverified = await self.client.send(call, request, self._reader(errors))
        try:
            if unverified is not None:
                unverified.verify(await self.keys.key_of(unverified.serial))
        except PaymentNoticeSignatureInvalid as error:
            raise PartnerUnreachable(NAME, f"not-signed-{error.why}", maybe_done=True) from None
        self.keys.keep_fresh()
        if reply.status == 204:
            return {}
        try:
            return exact_json.read_object(reply.body)
        except exact_json.Ambiguous:
            raise PartnerUnreachable(NAME, "not-json", maybe_done=True) from None

    def _reader(self, errors: Errors) -> Callable[[Reply], tuple[Reply, Signed | None]]:
        """Verifies an answer with the keys that we have; one signed with another comes back with its signature."""

        def read(reply: Reply) -> tuple[Reply, Signed | None]:
            fine = 200 <= reply.status < 300
            unverified: Signed | None = None
            try:
                if fine or is_signed(reply.headers):
                    claim = signed(reply.headers, reply.body)
                    found = self.keys.known(claim.serial)
                    if found is None or not found.holds():
                        unverified = claim
                    else:
                        claim.verify(found.key)
            except PaymentNoticeSignatureInvalid as error:
                # A probe, or an attacker in between: the same call is repeated.
                raise PartnerUnreachable(NAME, f"not-signed-{error.why}", maybe_done=True) from None
            if not fine:
                raise problem_of(reply, errors)
            return reply, unverified

        return read


def _unsigned(errors: Errors) -> Callable[[Reply], Reply]:
    def read(reply: Reply) -> Reply:
        if reply.status != 200:
            raise problem_of(reply, errors)
        return reply

    return read


def _origin(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
