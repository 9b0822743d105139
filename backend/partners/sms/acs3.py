"""ACS3-HMAC-SHA256, the request signature of Alibaba Cloud (its documentation of V3 请求体&签名机制; its example is a
test). Signed are the method, the path, the sorted query, `host`, every `x-acs-` header and the digest of the body."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
UNESCAPED = "-_.~"


def canonical_query(parameters: Mapping[str, str]) -> str:
    """The parameters in the order of their names, escaped by RFC 3986: `*` and the space too."""
    pairs = sorted((quote(name, safe=UNESCAPED), quote(value, safe=UNESCAPED)) for name, value in parameters.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def digest(body: bytes) -> str:
    """What `x-acs-content-sha256` holds."""
    return hashlib.sha256(body).hexdigest()


def canonical_request(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """The text that the signature is over; `headers` are those to be signed, by their names in lower case."""
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{headers['x-acs-content-sha256']}"


def signature_of(secret: str, canonical: str) -> str:
    """The signature alone, in hex."""
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def authorization(*, key_id: str, secret: str, method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """The Authorization header of a request whose headers to be signed are `headers`."""
    signature = signature_of(secret, canonical_request(method, path, query, headers))
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={';'.join(sorted(headers))},Signature={signature}"
