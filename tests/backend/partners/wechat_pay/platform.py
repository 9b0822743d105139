"""A platform of fresh keys: signs, seals and lists its certificates as WeChat Pay does. And the published merchant."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from backend import clock
from backend.partners.base import Reply
from backend.settings import Settings

FIXTURES = Path(__file__).parents[3] / "fixtures"
JAVA: dict[str, Any] = json.loads((FIXTURES / "wechatpay_java.json").read_text())
GO: dict[str, Any] = json.loads((FIXTURES / "wechatpay_go.json").read_text())
MESSAGES: dict[str, Any] = json.loads((FIXTURES / "wechatpay_messages.json").read_text())
BILL = (FIXTURES / "wechatpay_tradebill.csv").read_bytes()

PUBLIC_KEY_ID = "PUB_KEY_ID_0100000000000000000000000000000001"
SUCCESS = json.loads(MESSAGES["callback_transaction_success"]["expected_plaintext"])
REFUNDED = json.loads(MESSAGES["callback_refund_success"]["expected_plaintext"])


def loaded(pem: str) -> str:
    """A published key under its real label."""
    return pem.replace("TESTING KEY", "PRIVATE KEY")


def private(pem: str) -> RSAPrivateKey:
    key = load_pem_private_key(loaded(pem).encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def pem_of(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem_of(key: RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def published(**changes: Any) -> Settings:
    """Settings of the merchant of the published vectors."""
    values: dict[str, Any] = {
        "sandbox": True,
        "wechat_pay_mchid": MESSAGES["mchid"],
        "wechat_pay_appid": MESSAGES["appid"],
        "wechat_pay_serial": JAVA["merchant_serial"],
        "wechat_pay_key": loaded(JAVA["pem"]["merchant_private_key"]),
        "wechat_pay_api_v3_key": JAVA["api_v3_key"],
        "wechat_pay_public_key_id": PUBLIC_KEY_ID,
        "wechat_pay_public_key": JAVA["pem"]["wechat_pay_public_key"],
        "public_base": "https://zw.example.gov.cn",
    }
    return Settings(**{**values, **changes})


def a_certificate(
    key: RSAPrivateKey, serial: int, *, begins: datetime | None = None, ends: datetime | None = None
) -> bytes:
    """A certificate as the platform's, PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform")])
    now = clock.now().replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begins or now - timedelta(days=30))
        .not_valid_after(ends or now + timedelta(days=1800))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


@dataclass
class Signer:
    """A key of the platform with its serial, and the certificate it is in (None for a public key of the console)."""

    serial: str
    key: RSAPrivateKey
    certificate: bytes | None = None

    def headers(self, body: bytes, *, at: int | None = None, nonce: str = "") -> dict[str, str]:
        """The signature of a body, as headers in lower case."""
        timestamp, nonce = str(clock.timestamp() if at is None else at), nonce or secrets.token_hex(16)
        message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = b64encode(self.key.sign(message, PKCS1v15(), hashes.SHA256())).decode()
        return {
            "wechatpay-timestamp": timestamp,
            "wechatpay-nonce": nonce,
            "wechatpay-serial": self.serial,
            "wechatpay-signature": signature,
            "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
        }


def a_signer(**validity: datetime) -> Signer:
    """A fresh certificate of the platform."""
    key, number = generate_private_key(65537, 2048), secrets.randbits(150) | 1 << 149
    return Signer(f"{number:X}", key, a_certificate(key, number, **validity))


@dataclass
class Platform:
    """The platform of a fresh merchant. `fetches` counts how often it was asked for its certificates."""

    api_v3_key: str = field(default_factory=lambda: secrets.token_hex(16))
    merchant_key: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))
    signers: list[Signer] = field(default_factory=lambda: [a_signer()])
    public: Signer | None = None
    fetches: int = 0

    def settings(self, **changes: Any) -> Settings:
        """The merchant's side of it."""
        values: dict[str, Any] = {
            "sandbox": False,
            "wechat_pay_mchid": "1900000109",
            "wechat_pay_appid": "wx8888888888888888",
            "wechat_pay_serial": "3775B6A45ACD588826D15E583A95F5DD00000000",
            "wechat_pay_key": pem_of(self.merchant_key),
            "wechat_pay_api_v3_key": self.api_v3_key,
            "public_base": "https://zw.example.gov.cn",
        }
        if self.public is not None:
            values["wechat_pay_public_key_id"] = self.public.serial
            values["wechat_pay_public_key"] = public_pem_of(self.public.key)
        return Settings(**{**values, **changes})

    def seal(self, plaintext: bytes, *, associated: str = "", nonce: str = "") -> dict[str, str]:
        """A `resource` without its type."""
        nonce = nonce or secrets.token_hex(6)
        sealed = AESGCM(self.api_v3_key.encode()).encrypt(nonce.encode(), plaintext, associated.encode())
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "associated_data": associated,
            "ciphertext": b64encode(sealed).decode(),
            "nonce": nonce,
        }

    def listing(self, signer: Signer) -> dict[str, Any]:
        """One certificate in the list."""
        assert signer.certificate is not None
        found = x509.load_pem_x509_certificate(signer.certificate)
        return {
            "serial_no": signer.serial,
            "effective_time": found.not_valid_before_utc.isoformat(),
            "expire_time": found.not_valid_after_utc.isoformat(),
            "encrypt_certificate": self.seal(signer.certificate, associated="certificate"),
        }

    def certificates(self, *, signed_by: Signer | None = None) -> Reply:
        """The answer to GET /v3/certificates."""
        body = json.dumps({"data": [self.listing(each) for each in self.signers]}).encode()
        return Reply(200, (signed_by or self.signers[0]).headers(body), body)

    async def fetch(self) -> Reply:
        """As the adapter asks."""
        self.fetches += 1
        return self.certificates()

    def notice(
        self,
        content: dict[str, Any] | bytes,
        *,
        event: str = "TRANSACTION.SUCCESS",
        original: str = "transaction",
        **changes: Any,
    ) -> bytes:
        """A notice's body with this content sealed inside."""
        plaintext = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        envelope = {
            "id": "EV-2026010112000000001",
            "create_time": "2026-01-01T12:00:05+08:00",
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": "支付成功",
            "resource": {"original_type": original, **self.seal(plaintext, associated=original)},
            **changes,
        }
        return json.dumps(envelope, ensure_ascii=False).encode()
