"""The keys that the platform signs with: certificates that it sends us sealed, and its public key from the console.

Several live side by side while the platform changes from one to another, so the serial number of a signature chooses.
Certificates are fetched at the first serial that is not known and again before they are twelve hours old. Serials in
forged signatures cost nothing: a call with an unknown one joins the running fetch, and after a fetch the next waits for
a pause, however many come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from backend import clock
from backend.partners.base import Reply
from backend.partners.errors import PartnerError
from backend.partners.paying import exact_json, keys
from backend.partners.paying.port import PaymentNoticeSignatureInvalid
from backend.partners.wechat_pay.merchant import TEST_SERIALS, Merchant
from backend.partners.wechat_pay.sealing import ALGORITHM, Sealed, open_resource
from backend.partners.wechat_pay.verifying import forged, signed

log = logging.getLogger("zhangban.partners")

MOST = 50
"""Certificates in one answer; the platform has a handful."""
PUBLIC_KEY_ID = "PUB_KEY_ID_"


class CertificatesInvalid(ValueError):
    """The answer is not the platform's, or its certificates contradict it."""


@dataclass(frozen=True)
class PlatformKey:
    """A key that the platform signs with. A public key of the console has no end."""

    serial: str
    key: RSAPublicKey
    begins: datetime | None = None
    ends: datetime | None = None

    def holds(self) -> bool:
        """Whether it is valid now."""
        now = clock.now()
        return (self.begins is None or self.begins <= now) and (self.ends is None or now < self.ends)


class PlatformKeys:
    """The keys of this process. `fetch` gets the platform's certificates."""

    def __init__(
        self, merchant: Merchant, fetch: Callable[[], Awaitable[Reply]], *, oldest: float, pause: float
    ) -> None:
        self._merchant = merchant
        self._fetch = fetch
        self._oldest = oldest
        self._pause = pause
        self._certificates: dict[str, PlatformKey] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: float | None = None
        self._running: asyncio.Task[None] | None = None
        public = merchant.public_key
        self._public = PlatformKey(merchant.public_key_id, public) if public is not None else None

    def known(self, serial: str) -> PlatformKey | None:
        """The key of this serial if we have it; nothing is fetched."""
        if self._public is not None and serial == self._public.serial:
            return self._public
        return self._certificates.get(serial.upper())

    async def key_of(self, serial: str) -> RSAPublicKey:
        """The key of this serial. Raises PaymentNoticeSignatureInvalid when the platform has no such key that is
        valid now."""
        found = self.known(serial)
        if found is None and not serial.startswith(PUBLIC_KEY_ID):
            await self._renewed()
            found = self.known(serial)
        self.keep_fresh()
        if found is None:
            raise forged("unknown-serial")
        if not found.holds():
            raise forged("expired-key")
        return found.key

    def keep_fresh(self) -> None:
        """Fetch beside this call when our certificates are old: those that we have still hold."""
        if self._certificates and self._is_old():
            self._renew()

    async def sealing_key(self) -> PlatformKey:
        """The key that sensitive fields are sealed for: the public key if there is one, else the newest certificate.

        Raises PaymentNoticeSignatureInvalid when the platform's certificates cannot be had.
        """
        if self._public is not None:
            return self._public
        if not any(each.holds() for each in self._certificates.values()) or self._is_old():
            await self._renewed()
        valid = [each for each in self._certificates.values() if each.holds()]
        if not valid:
            raise forged("no-key")
        return max(valid, key=lambda each: str(each.begins))

    def _is_old(self) -> bool:
        if self._fetched_at is None:
            return True
        return not 0 <= (clock.now() - self._fetched_at).total_seconds() < self._oldest

    async def _renewed(self) -> None:
        if task := self._renew():
            await asyncio.shield(task)

    def _renew(self) -> asyncio.Task[None] | None:
        """The fetch that is running, a new one, or None within the pause after the last."""
        if self._running is not None and not self._running.done():
            return self._running
        if self._tried_at is not None and clock.monotonic() - self._tried_at < self._pause:
            return None
        self._tried_at = clock.monotonic()
        self._running = asyncio.create_task(self._renewing())
        return self._running

    async def _renewing(self) -> None:
        try:
            reply = await self._fetch()
            self._certificates = opened(self._merchant, reply, self._certificates)
            self._fetched_at = clock.now()
            log.info(
                "platform certificates fetched",
                extra={"event": "platform-certificates.fetched", "certificates": len(self._certificates)},
            )
        except (PartnerError, CertificatesInvalid) as error:
            # The known certificates stay: they were verified and have an end of their own.
            facts = {"event": "platform-certificates.failed", "reason": str(error)}
            log.warning("platform certificates not fetched", extra=facts)


def opened(merchant: Merchant, reply: Reply, before: Mapping[str, PlatformKey]) -> dict[str, PlatformKey]:
    """The certificates of an answer to `GET /v3/certificates`, by serial number in capitals.

    The answer is signed with a key that may be among what it brings: only our APIv3 key opens those, so they are
    accepted when they open, agree with what the answer states of them, and one of them, or one known before, signed
    the answer. Raises CertificatesInvalid.
    """
    try:
        listed = exact_json.read_object(reply.body).get("data")
        if not isinstance(listed, list) or not 0 < len(listed) <= MOST:
            raise CertificatesInvalid("no list")
        found = {each.serial: each for each in (_certificate(merchant, entry) for entry in listed if _is_rsa(entry))}
        claim = signed(reply.headers, reply.body)
        signer = found.get(claim.serial.upper()) or before.get(claim.serial.upper())
        if signer is None and merchant.public_key is not None and claim.serial == merchant.public_key_id:
            signer = PlatformKey(claim.serial, merchant.public_key)
        if signer is None or not signer.holds():
            raise CertificatesInvalid("signed with an unknown key")
        claim.verify(signer.key)
    except (exact_json.Ambiguous, Sealed, PaymentNoticeSignatureInvalid) as error:
        raise CertificatesInvalid(getattr(error, "why", str(error))) from None
    return found


def _is_rsa(entry: Any) -> bool:
    """The platform may list keys of other kinds (SM2), sealed in another way: they are not ours to use."""
    sealed = entry.get("encrypt_certificate") if isinstance(entry, dict) else None
    return not isinstance(sealed, dict) or sealed.get("algorithm", ALGORITHM) == ALGORITHM


def _certificate(merchant: Merchant, entry: Any) -> PlatformKey:
    if not isinstance(entry, dict):
        raise CertificatesInvalid("no certificate")
    serial = exact_json.text(entry, "serial_no").upper()
    pem = open_resource(merchant.api_v3_key, exact_json.group(entry, "encrypt_certificate"))
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except ValueError:
        raise CertificatesInvalid("no certificate") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < keys.SMALLEST:
        raise CertificatesInvalid("no RSA key")
    if certificate.serial_number != int(serial, 16):
        raise CertificatesInvalid("another serial number")
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    # The answer may narrow the certificate's own validity and never widens it.
    begins = max(begins, exact_json.moment_or_none(entry, "effective_time") or begins)
    ends = min(ends, exact_json.moment_or_none(entry, "expire_time") or ends)
    if not merchant.sandbox and (serial in TEST_SERIALS or keys.is_published(key)):
        raise CertificatesInvalid("a published key")
    return PlatformKey(serial, key, begins, ends)
