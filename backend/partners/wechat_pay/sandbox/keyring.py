"""The platform's own keys: certificates that are rotated, and the WeChat Pay public key that follows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from backend.partners import sandbox_keys
from backend.partners.sandbox_keys import Certificate

Source = Literal["certificate", "public_key"]
PUBLIC_KEY = "wechat-pay public key"


def public_key_id() -> str:
    """`PUB_KEY_ID_` and 34 digits."""
    return "PUB_KEY_ID_01" + str(int(sandbox_keys.serial(PUBLIC_KEY), 16))[:32]


@dataclass
class Keyring:
    """Which keys are published and which of them signs."""

    listed: list[Certificate] = field(default_factory=lambda: [sandbox_keys.certificate("wechat-pay platform 1")])
    """What GET /v3/certificates shows."""
    signs: Certificate = field(default_factory=lambda: sandbox_keys.certificate("wechat-pay platform 1"))
    source: Source = "certificate"
    """What signs answers whose request asked for nothing else."""
    percent: int = 0
    """How many of a hundred notices the public key signs, spread evenly."""
    _made: int = 1
    _sent: int = 0

    def announce(self) -> Certificate:
        """List a new certificate beside the old ones, which go on signing."""
        self._made += 1
        new = sandbox_keys.certificate(f"wechat-pay platform {self._made}")
        self.listed.append(new)
        return new

    def switch(self) -> Certificate:
        """Let the newest listed certificate sign from now on."""
        self.signs = self.listed[-1]
        return self.signs

    def rotate(self) -> Certificate:
        """Announce and switch at once: a client that keeps certificates gets an unknown serial."""
        self.announce()
        return self.switch()

    def retire(self) -> None:
        """List only the certificate that signs."""
        self.listed = [self.signs]

    def move_to_public_key(self) -> None:
        """The end of the move: the public key signs everything."""
        self.source, self.percent = "public_key", 100

    def for_answer(self, requested: str) -> tuple[str, RSAPrivateKey]:
        """Serial and key that sign an answer; `requested` is the request's own Wechatpay-Serial."""
        asked_for_public = requested == public_key_id()
        return self._named("public_key" if asked_for_public else self.source)

    def for_notice(self) -> tuple[str, RSAPrivateKey]:
        """Serial and key that sign the next notice."""
        before, self._sent = self._sent, self._sent + 1
        public = self._sent * self.percent // 100 != before * self.percent // 100
        return self._named("public_key" if public else "certificate")

    def opener(self, serial: str) -> RSAPrivateKey | None:
        """What opens fields that a client sealed for this serial."""
        if serial == public_key_id():
            return sandbox_keys.rsa_key(PUBLIC_KEY)
        return next((each.key for each in (*self.listed, self.signs) if each.serial == serial), None)

    def _named(self, source: Source) -> tuple[str, RSAPrivateKey]:
        if source == "public_key":
            return public_key_id(), sandbox_keys.rsa_key(PUBLIC_KEY)
        return self.signs.serial, self.signs.key
