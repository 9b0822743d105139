"""Alipay's side and ours for tests: fresh keys for both, and forms signed as Alipay signs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from backend.partners.alipay.merchant import merchant_from
from backend.partners.alipay.signing import content_of, sign
from backend.settings import Settings
from tests.backend.partners.wechat_pay.platform import JAVA, pem_of, public_pem_of

KNOWN: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/alipay_notify.json").read_text())
SENT = datetime(2026, 1, 1, 4, 0, 6, tzinfo=UTC)
OURS, THEIRS = generate_private_key(65537, 2048), generate_private_key(65537, 2048)
NUMBER = "P20260101BCDFGHJKLMNPQRST"


def values(**changes: Any) -> Settings:
    base: dict[str, Any] = {
        "alipay_app_id": "2021000000000001",
        "alipay_seller_id": "2088000000000001",
        "alipay_key": pem_of(OURS),
        "alipay_public_key": public_pem_of(THEIRS),
        "public_base": "https://zw.example.gov.cn",
    }
    return Settings(**{**base, **changes})


PUBLISHED = merchant_from(values(sandbox=True, alipay_public_key=JAVA["pem"]["wechat_pay_public_key"]))
MERCHANT = merchant_from(values())


def a_form(fields: dict[str, str], *, charset: str = "utf-8", keep: bool = False, key: RSAPrivateKey = THEIRS) -> bytes:
    """A notice signed as Alipay does."""
    raw = {name: value.encode(charset) for name, value in fields.items()}
    without = frozenset({"sign"} if keep else {"sign", "sign_type"})
    signature = sign(key, content_of(raw, without=without))
    return "&".join([*(f"{n}={quote_plus(v)}" for n, v in raw.items()), f"sign={quote_plus(signature)}"]).encode()


def fields(**changes: str) -> dict[str, str]:
    return {**KNOWN["params_without_sign"], **changes}
