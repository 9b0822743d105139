"""Tokens, sign-in, phone numbers and followers, as the platform answers them."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend.partners.wechat.sandbox.errors import Errcode
from backend.partners.wechat.sandbox.world import App, Persona, World

LOGINS_A_MINUTE = 100
"""code2Session per user and minute; more is answered 45011."""


def stable_token(world: World, content: Mapping[str, Any]) -> dict[str, Any]:
    """POST /cgi-bin/stable_token."""
    if content.get("grant_type") != "client_credential":
        raise Errcode(40002, "invalid grant_type")
    app = _app_with_secret(world, content)
    token, seconds = app.tokens.stable(force=content.get("force_refresh") is True)
    return {"access_token": token, "expires_in": seconds}


def _app_with_secret(world: World, given: Mapping[str, Any]) -> App:
    if not given.get("appid"):
        raise Errcode(41002, "appid missing")
    if not given.get("secret"):
        raise Errcode(41004, "appsecret missing")
    app = world.app_of(str(given["appid"]))
    if given["secret"] != app.secret:
        raise Errcode(40125, "invalid appsecret")
    return app


def code_to_session(world: World, query: Mapping[str, str]) -> dict[str, Any]:
    """GET /sns/jscode2session: no errcode in a success."""
    if query.get("grant_type") != "authorization_code":
        raise Errcode(40002, "invalid grant_type")
    app = _app_with_secret(world, query)
    someone = world.use_code(query.get("js_code", ""), "login", app.appid)
    now = world.now()
    someone.logins = [at for at in someone.logins if now - at < timedelta(minutes=1)] + [now]
    if len(someone.logins) > LOGINS_A_MINUTE:
        raise Errcode(45011, "api minute-quota reach limit")
    if someone.blocked:
        raise Errcode(40226, "code blocked")
    return {"openid": someone.openid, "session_key": someone.session_key, "unionid": someone.unionid}


def phone_number(world: World, app: App, content: Mapping[str, Any]) -> dict[str, Any]:
    """POST /wxa/business/getuserphonenumber."""
    someone = world.use_code(str(content.get("code", "")), "phone", app.appid)
    if content.get("openid") not in (None, someone.openid):
        raise Errcode(40029, "invalid code")
    return {"errcode": 0, "errmsg": "ok", "phone_info": _phone_info(world, app, someone)}


def _phone_info(world: World, app: App, someone: Persona) -> dict[str, Any]:
    watermark = {"timestamp": int(world.now().timestamp()), "appid": app.appid}
    return {
        "phoneNumber": someone.phone,
        "purePhoneNumber": someone.phone,
        "countryCode": "86",
        "watermark": watermark,
    }


def _with_session(world: World, query: Mapping[str, str]) -> Persona:
    if query.get("sig_method") != "hmac_sha256":
        raise Errcode(87008, "invalid sig_method")
    someone = world.persona_with(query.get("openid", ""), "mini_program")
    expected = hmac.digest(someone.session_key.encode(), b"", "sha256").hex()
    if not someone.session_key or query.get("signature") != expected:
        raise Errcode(87009, "invalid signature")
    return someone


def check_session(world: World, query: Mapping[str, str]) -> dict[str, Any]:
    """GET /wxa/checksession."""
    _with_session(world, query)
    return {"errcode": 0, "errmsg": "ok"}


def reset_session(world: World, query: Mapping[str, str]) -> dict[str, Any]:
    """GET /wxa/resetusersessionkey."""
    someone = _with_session(world, query)
    someone.session_key = b64encode(secrets.token_bytes(16)).decode()
    return {"errcode": 0, "errmsg": "ok", "openid": someone.openid, "session_key": someone.session_key}


def user_info(world: World, query: Mapping[str, str]) -> dict[str, Any]:
    """GET /cgi-bin/user/info: for a person who does not follow, only the openid."""
    someone = world.persona_with(query.get("openid", ""), "official_account")
    if not someone.follows:
        return {"subscribe": 0, "openid": someone.oa_openid}
    return {"subscribe": 1, "openid": someone.oa_openid, "language": "zh_CN", "unionid": someone.unionid}
