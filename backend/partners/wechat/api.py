"""One call to api.weixin.qq.com: the token in the query, HTTP 200 with an `errcode`, and what the codes
mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from backend import clock
from backend.partners.base import PartnerClient, Repeat, Reply, Request, decoded
from backend.partners.errors import PartnerError
from backend.partners.wechat.errors import (
    WechatBusy,
    WechatMisconfigured,
    WechatQuotaSpent,
    WechatRefused,
)
from backend.partners.wechat.token import IssuedToken, TokenKeeper

T = TypeVar("T")

DomainError = Callable[[str, str, str], PartnerError]
Errors = Mapping[int, DomainError]
"""What an errcode means in one call; the codes that mean the same everywhere are in `COMMON`."""

STALE_TOKEN = frozenset({40001, 40014, 42001})
COMMON: Errors = {
    -1: WechatBusy,
    45009: WechatQuotaSpent,
    45011: WechatBusy,
    44990: WechatBusy,
    44991: WechatBusy,
    40001: WechatBusy,  # still refused after a new token: another process is changing it, or the secret is
    40014: WechatBusy,
    42001: WechatBusy,
    40002: WechatMisconfigured,
    40013: WechatMisconfigured,
    40125: WechatMisconfigured,
    40164: WechatMisconfigured,
    40243: WechatMisconfigured,
    41002: WechatMisconfigured,
    41004: WechatMisconfigured,
    48001: WechatMisconfigured,
    48002: WechatMisconfigured,
    50004: WechatMisconfigured,
    50007: WechatMisconfigured,
    61024: WechatMisconfigured,
    89503: WechatMisconfigured,
    89506: WechatMisconfigured,
    89507: WechatMisconfigured,
}
_LONGEST_MESSAGE = 200


class Account(msgspec.Struct, frozen=True):
    """The appid and secret of one of our accounts."""

    appid: str
    secret: str

    def __repr__(self) -> str:
        return f"Account({self.appid})"


class WeChatApi:
    """Calls on behalf of one account; keeps that account's token."""

    def __init__(self, client: PartnerClient, account: Account) -> None:
        self.client = client
        self.account = account
        self.tokens = TokenKeeper(account.appid, self._fetch_token)

    async def get(self, path: str, *, query: Mapping[str, str], errors: Errors) -> dict[str, Any]:
        """A GET that changes nothing and may be repeated. Raises what `errors` and COMMON say,
        PartnerUnreachable."""
        request = Request(method="GET", path=path, query=query, repeat=Repeat.ALWAYS)
        return await self._with_token(request, self._reader(errors))

    async def post(
        self, path: str, content: Mapping[str, Any], *, errors: Errors, repeat: Repeat = Repeat.IF_NEVER_SENT
    ) -> dict[str, Any]:
        """A POST of JSON. Raises what `errors` and COMMON say, and PartnerUnreachable."""
        return await self._with_token(_posting(path, content, repeat), self._reader(errors))

    async def post_for_bytes(self, path: str, content: Mapping[str, Any], *, errors: Errors) -> Reply:
        """A POST whose answer is bytes, or JSON when it failed. Raises as `post`."""

        def read(reply: Reply) -> Reply:
            if not reply.content_type.startswith("image/"):
                self._reader(errors)(reply)
                raise WechatBusy("wechat", "no-image")
            return reply

        return await self._with_token(_posting(path, content, Repeat.ALWAYS), read)

    async def without_token(self, path: str, *, query: Mapping[str, str], errors: Errors) -> dict[str, Any]:
        """A GET that carries appid and secret itself and is not repeated once sent (a code is used up by
        it)."""
        self._configured()
        query = {"appid": self.account.appid, "secret": self.account.secret, **query}
        request = Request(method="GET", path=path, query=query)
        return await self.client.send(_name(path), request, self._reader(errors))

    async def _with_token(self, request: Request, read: Callable[[Reply], T]) -> T:
        """With the token; once more with another one if WeChat no longer takes it. Nothing was done in
        between: the token is checked before everything else."""
        self._configured()
        token = await self.tokens.current()
        try:
            return await self._ask(request, token, read)
        except PartnerError as trouble:
            if trouble.partner_code not in {str(code) for code in STALE_TOKEN}:
                raise
        return await self._ask(request, await self.tokens.instead_of(token), read)

    async def _ask(self, request: Request, token: str, read: Callable[[Reply], T]) -> T:
        query = {"access_token": token, **request.query}
        return await self.client.send(_name(request.path), msgspec.structs.replace(request, query=query), read)

    async def _fetch_token(self, force: bool) -> IssuedToken:
        content = {
            "grant_type": "client_credential",
            "appid": self.account.appid,
            "secret": self.account.secret,
            "force_refresh": force,
        }
        # An ordinary request may be repeated; a forced one would be a second force.
        repeat = Repeat.IF_NEVER_SENT if force else Repeat.ALWAYS
        asked = clock.now().timestamp()
        read = self._reader(dict.fromkeys(STALE_TOKEN, WechatMisconfigured))
        answer = await self.client.send("stable_token", _posting("/cgi-bin/stable_token", content, repeat), read)
        text, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(text, str) or not text or not isinstance(seconds, int):
            raise WechatBusy("wechat", "no-token")
        return IssuedToken(text, asked + seconds)

    def _reader(self, errors: Errors) -> Callable[[Reply], dict[str, Any]]:
        def read(reply: Reply) -> dict[str, Any]:
            answer = decoded("wechat", reply)
            code = answer.get("errcode", 0)
            if code in (0, "0"):
                return answer
            raise problem_of(code, str(answer.get("errmsg", "")), errors)

        return read

    def _configured(self) -> None:
        if not self.account.appid or not self.account.secret:
            raise WechatMisconfigured("wechat", "not-configured")


def problem_of(code: Any, message: str, errors: Errors) -> PartnerError:
    """What WeChat's refusal means in this call; an unlisted code is a WechatRefused that keeps it."""
    number = int(code) if isinstance(code, int) or str(code).lstrip("-").isdecimal() else 0
    kind: DomainError = errors.get(number) or COMMON.get(number) or WechatRefused
    return kind("wechat", str(code), message[:_LONGEST_MESSAGE])


def _posting(path: str, content: Mapping[str, Any], repeat: Repeat) -> Request:
    return Request(
        method="POST",
        path=path,
        body=msgspec.json.encode(content),
        headers={"Content-Type": "application/json; charset=utf-8"},
        repeat=repeat,
    )


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1] if not path.endswith("/send") else "_".join(path.split("/")[-2:])
