"""How requests to the platform are wrapped and signed. [recalled: the common form of provincial platforms; not verified
against a published text, so addresses, digest and names of the installation are settings]

The business JSON travels as base64 in `data`; `sign` is the digest, in capitals, over the sorted `name=value` pairs
joined by `&`, with `key=<secret>` before `version`. Answers carry `data` as base64 of `{"result", "message"}`, where
`message` is base64 once more: of a JSON when the result is `S0000`, of words otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Any

import msgspec

DONE = "S0000"


def sign(fields: Mapping[str, str], secret: str, digest: str) -> str:
    """The signature of an envelope."""
    named = {**{name: value for name, value in fields.items() if name != "sign"}, "key": secret}
    text = "&".join(f"{name}={named[name]}" for name in sorted(named))
    return hashlib.new(digest, text.encode(), usedforsecurity=False).hexdigest().upper()


def wrapped(content: Mapping[str, Any], *, names: Mapping[str, str], noise: str, secret: str, digest: str) -> bytes:
    """The body of a request; `names` identify us (`region`, `deptcode`, `appid`)."""
    fields = {**names, "data": b64encode(msgspec.json.encode(content)).decode(), "noise": noise, "version": "1.0"}
    return msgspec.json.encode({**fields, "sign": sign(fields, secret, digest)})


def opened(body: Mapping[str, Any], secret: str, digest: str) -> dict[str, Any] | None:
    """The business JSON of a request; None when the signature is not right."""
    fields = {name: value for name, value in body.items() if isinstance(value, str)}
    given = fields.get("sign", "")
    if not hmac.compare_digest(given.encode(), sign(fields, secret, digest).encode()):
        return None
    return unpacked(fields.get("data", ""))


def answer(result: str, message: Any) -> dict[str, str]:
    """An answer of the platform."""
    inner = message.encode() if isinstance(message, str) else msgspec.json.encode(message)
    outer = {"result": result, "message": b64encode(inner).decode()}
    return {"data": b64encode(msgspec.json.encode(outer)).decode()}


def read(body: Mapping[str, Any]) -> tuple[str, dict[str, Any] | str]:
    """What the platform answered: its result code, and the JSON or the words behind it. Raises ValueError."""
    outer = unpacked(str(body.get("data", "")))
    result, message = str(outer.get("result", "")), str(outer.get("message", ""))
    if result == DONE:
        return result, unpacked(message)
    try:
        return result, b64decode(message, validate=True).decode()
    except (Error, UnicodeDecodeError):
        return result, message


def unpacked(text: str) -> dict[str, Any]:
    """A JSON object in base64. Raises ValueError."""
    try:
        value = msgspec.json.decode(b64decode(text, validate=True))
    except (Error, msgspec.DecodeError) as error:
        raise ValueError("not a JSON object in base64") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object in base64")
    return value
