"""TC3-HMAC-SHA256, the request signature of Tencent Cloud (its documentation of 签名方法 v3; its example is a test)."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

ALGORITHM = "TC3-HMAC-SHA256"
CONTENT_TYPE = "application/json; charset=utf-8"
SIGNED_HEADERS = "content-type;host"


def authorization(*, secret_id: str, secret_key: str, service: str, host: str, timestamp: int, body: bytes) -> str:
    """The Authorization header of a POST to `/`; `timestamp` is also sent as X-TC-Timestamp."""
    day = datetime.fromtimestamp(timestamp, UTC).date().isoformat()
    scope = f"{day}/{service}/tc3_request"
    signature = signature_of(
        secret_key=secret_key,
        service=service,
        host=host,
        timestamp=timestamp,
        body=body,
        content_type=CONTENT_TYPE,
    )
    return f"{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}"


def signature_of(*, secret_key: str, service: str, host: str, timestamp: int, body: bytes, content_type: str) -> str:
    """The signature alone, in hex."""
    day = datetime.fromtimestamp(timestamp, UTC).date().isoformat()
    hashed = hashlib.sha256(body).hexdigest()
    headers = f"content-type:{content_type}\nhost:{host}\n"
    canonical = f"POST\n/\n\n{headers}\n{SIGNED_HEADERS}\n{hashed}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{timestamp}\n{day}/{service}/tc3_request\n{digest}"
    key = f"TC3{secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
