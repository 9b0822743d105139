"""How an agency signs a request, and how that is checked; docs/agency-signing.md says the same to agencies.

What is signed is six lines joined by a line feed, without one at the end:

    ZHANGBAN-1
    POST
    /v1/agency/cases
    page=2&state=accepted
    1795200000
    f3b1c2d4e5f60718
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

that is: the version, the method, the path, the query with its pairs sorted, the time in seconds since 1970, a nonce
that is never used again with this key, and the SHA-256 of the body in hexadecimal.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote, unquote_to_bytes, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from backend import clock
from backend.identity.errors import SignatureMissing

Algorithm = Literal["hmac-sha256", "ed25519"]

VERSION = "ZHANGBAN-1"
KEY, TIMESTAMP, NONCE, SIGNATURE = "Zhangban-Key", "Zhangban-Timestamp", "Zhangban-Nonce", "Zhangban-Signature"
LONGEST_SIGNATURE = 128

_KEY = re.compile(r"[A-Za-z0-9_-]{4,32}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_TIMESTAMP = re.compile(r"[1-9][0-9]{8,11}", re.ASCII)
_UNRESERVED = "-._~"
_HEADERS = {name.lower().encode(): name for name in (KEY, TIMESTAMP, NONCE, SIGNATURE)}


class SignedRequest(Struct, frozen=True):
    """The four headers of a signed request, read and well formed."""

    key: str
    timestamp: int
    nonce: str
    signature: str


def parse_headers(headers: list[tuple[bytes, bytes]]) -> SignedRequest:
    """The four headers, each exactly once. Raises SignatureMissing, naming those that are not right."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if (known := _HEADERS.get(name.lower())) is not None:
            found.setdefault(known, []).append(value.decode("latin-1"))
    patterns = ((KEY, _KEY), (TIMESTAMP, _TIMESTAMP), (NONCE, _NONCE))
    wrong = [name for name, form in patterns if len(found.get(name, ())) != 1 or not form.fullmatch(found[name][0])]
    if len(found.get(SIGNATURE, ())) != 1 or len(found[SIGNATURE][0]) > LONGEST_SIGNATURE:
        wrong.append(SIGNATURE)
    if wrong:
        raise SignatureMissing("缺少或无法识别的请求头：" + "、".join(wrong), headers=wrong)
    return SignedRequest(found[KEY][0], int(found[TIMESTAMP][0]), found[NONCE][0], found[SIGNATURE][0])


def canonical(method: str, path: bytes | str, query: bytes | str, timestamp: int, nonce: str, body: bytes) -> bytes:
    """What is signed. Percent signs may be written in any way: every part is decoded and encoded again."""
    digest = hashlib.sha256(body).hexdigest()
    lines = (VERSION, method.upper(), _path(path), _query(query), str(timestamp), nonce, digest)
    return "\n".join(lines).encode()


def sign(content: bytes, secret: str, algorithm: Algorithm) -> str:
    """The signature in base64. `secret` is base64 of the shared secret, or of an Ed25519 private key."""
    key = b64decode(secret)
    if algorithm == "ed25519":
        return b64encode(Ed25519PrivateKey.from_private_bytes(key).sign(content)).decode()
    return b64encode(hmac.digest(key, content, "sha256")).decode()


def verify(content: bytes, signature: str, secret: str, algorithm: str) -> bool:
    """Whether this is the signature. `secret` is base64 of the shared secret, or of the Ed25519 public key."""
    key = b64decode(secret)
    try:
        given = b64decode(signature, validate=True)
    except (Base64Error, ValueError):
        return False
    if algorithm == "ed25519":
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(given, content)
        except InvalidSignature:
            return False
        return True
    return hmac.compare_digest(given, hmac.digest(key, content, "sha256"))


def sign_request(
    method: str,
    address: str,
    body: bytes = b"",
    *,
    key: str,
    secret: str,
    algorithm: Algorithm = "hmac-sha256",
    timestamp: int | None = None,
    nonce: str | None = None,
) -> Mapping[str, str]:
    """The headers that sign a request to this address (a path with its query, or a whole URL)."""
    parts = urlsplit(address)
    timestamp = clock.timestamp() if timestamp is None else timestamp
    nonce = nonce or secrets.token_hex(16)
    content = canonical(method, parts.path, parts.query, timestamp, nonce, body)
    return {
        KEY: key,
        TIMESTAMP: str(timestamp),
        NONCE: nonce,
        SIGNATURE: sign(content, secret, algorithm),
    }


def _path(path: bytes | str) -> str:
    raw = path if isinstance(path, bytes) else path.encode()
    # Part by part: an encoded slash inside a part is not the slash between two parts.
    return "/".join(_part(part) for part in raw.split(b"/")) or "/"


def _query(query: bytes | str) -> str:
    raw = query if isinstance(query, bytes) else query.encode()
    encoded = sorted(_pair(piece) for piece in raw.split(b"&") if piece)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _pair(piece: bytes) -> tuple[str, str]:
    # Bytes all the way: a stranger's query need not be UTF-8, and must not become an error of ours.
    name, _, value = piece.replace(b"+", b" ").partition(b"=")
    return _part(name), _part(value)


def _part(raw: bytes) -> str:
    return quote(unquote_to_bytes(raw), safe=_UNRESERVED)
