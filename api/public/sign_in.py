"""Signing in from the mini-program, refreshing, and the keys with which others can check our tokens."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.limits import limit
from api.problems import answers
from backend import identity
from backend.identity import Tokens, device_class
from backend.partners import Partners

KEY_SET_KEPT = 300
"""Seconds for which others may keep our key set; shorter than `signing_key_lead_seconds`."""


class SignInIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What `wx.login` gave to the page."""

    code: Annotated[str, Meta(min_length=1, max_length=256)]


class RefreshIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The refresh token that the client has kept."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=256)]


class TokensOut(Struct, kw_only=True):
    """What a client keeps: the access token for every request, the refresh token for `/sessions/refresh` only."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: UUID
    resident_id: UUID

    @classmethod
    def of(cls, given: Tokens) -> TokensOut:
        """The answer for these tokens."""
        return cls(**given._asdict())


def _device(request: Request[Any, Any, Any]) -> Any:
    return device_class(request.headers.get("user-agent", ""))


class SessionController(Controller):
    """`/v1/public/sessions`."""

    path = "/sessions"
    tags = ["登录"]

    # Many phones share one address of a mobile network; a single account is limited in the use case.
    @post(
        summary="用 wx.login 的 code 登录",
        description="code 五分钟内有效且只能使用一次。登录失败后请重新调用 wx.login。",
        operation_id="signIn",
        guards=[limit("sign-in", 120, 60, fail_closed=True)],
        responses=answers(identity.sign_in_resident),
    )
    async def sign_in(
        self, request: Request[Any, Any, Any], data: JSONBody[SignInIn], partners: NamedDependency[Partners]
    ) -> TokensOut:
        return TokensOut.of(await identity.sign_in_resident(data.code, device=_device(request), wechat=partners.wechat))

    @post(
        "/refresh",
        status_code=200,
        summary="用刷新令牌换取新的令牌",
        description=(
            "每个刷新令牌只有一个后继：十秒内重复提交得到同一个后继，之后再次使用则视为泄露，整个登录会话失效。"
            "失效后请重新调用 wx.login 登录。"
        ),
        operation_id="refreshSession",
        guards=[limit("refresh", 600, 60)],
        responses=answers(identity.refresh_session),
    )
    async def refresh(self, request: Request[Any, Any, Any], data: JSONBody[RefreshIn]) -> TokensOut:
        return TokensOut.of(await identity.refresh_session(data.refresh_token, device=_device(request)))


class KeySet(Struct):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, str]]


_KEPT = {"cache-control": f"public, max-age={KEY_SET_KEPT}"}


@get(
    "/jwks",
    tags=["登录"],
    summary="访问令牌的公钥集（JWKS）",
    operation_id="keySet",
)
async def key_set() -> Response[KeySet]:
    """The keys that access tokens are signed with now, were signed with lately, or will be."""
    return Response(KeySet(**await identity.get_key_set()), headers=_KEPT)


@get(
    "/.well-known/jwks.json",
    tags=["登录"],
    summary="访问令牌的公钥集（JWKS），标准位置",
    operation_id="wellKnownKeySet",
)
async def well_known_key_set() -> Response[KeySet]:
    """The same where programs look for it."""
    return Response(KeySet(**await identity.get_key_set()), headers=_KEPT)


openapi.LINKS["signIn"] = {
    "refresh": {"operationId": "refreshSession", "requestBody": {"refresh_token": "$response.body#/refresh_token"}},
    "endSession": {"operationId": "endSession", "parameters": {"session_id": "$response.body#/session_id"}},
}
