"""The limit: the same work with nothing around it.

One coroutine, no router, no framework. The token is verified with the cryptography package directly and remembered
until it expires; one statement gives the finished bytes; connections go back to the pool without a reset, and no more
requests are inside than there are connections.
"""

from __future__ import annotations

import json
import os
import time
from base64 import urlsafe_b64decode
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from backend.cases.resident_views import CASE_STATEMENT
from benchmarks.bare import Bare, respond

PREFIX = "/v1/resident/cases/"
SHANGHAI = timezone(timedelta(hours=8))
AUDIENCE = os.environ["BENCH_AUDIENCE"]
ISSUER = os.environ["BENCH_ISSUER"]
NOT_FOUND = b'{"code":"case-not-found"}'
UNAUTHENTICATED = b'{"code":"unauthenticated"}'

known: dict[bytes, tuple[float, UUID]] = {}
ecdsa = ec.ECDSA(SHA256())


def _decoded(part: bytes) -> bytes:
    return urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def verified(token: bytes, keys: dict[str, ec.EllipticCurvePublicKey]) -> tuple[float, UUID] | None:
    """The expiry and the resident of a token that is good."""
    try:
        head, body, signature = token.split(b".")
        header, raw = json.loads(_decoded(head)), _decoded(signature)
        if header["typ"] != "at+jwt" or header["alg"] != "ES256":
            return None
        pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        keys[header["kid"]].verify(pair, head + b"." + body, ecdsa)
        claims = json.loads(_decoded(body))
        if claims["aud"] != AUDIENCE or claims["iss"] != ISSUER or claims["exp"] <= time.time():
            return None
        return float(claims["exp"]), UUID(claims["sub"])
    except (ValueError, KeyError, InvalidSignature):
        return None


class Progress(Bare):
    """The whole program."""

    def __init__(self) -> None:
        super().__init__()
        pem = os.environ["BENCH_PUBLIC_KEY"].encode()
        self.keys: dict[str, Any] = {os.environ["BENCH_KID"]: load_pem_public_key(pem)}

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        resident = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                token = value[7:]
                found = known.get(token)
                if found is None or found[0] <= time.time():
                    found = verified(token, self.keys)
                    if found is not None:
                        known[token] = found
                resident = found[1] if found else None
                break
        if resident is None:
            await respond(send, 401, UNAUTHENTICATED)
            return
        number = scope["path"][len(PREFIX) :]
        today = datetime.now(SHANGHAI).date()
        async with self.gate:
            connection = await self.pool.acquire()
            try:
                body = await connection.fetchval(CASE_STATEMENT, number, resident, today)
            finally:
                await self.pool.release(connection)
        await respond(send, 200 if body else 404, body or NOT_FOUND)


def application() -> Progress:
    """What the server runs."""
    return Progress()
