"""Alipay."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AlipaySettings:
    """The settings of Alipay."""

    # -- Alipay -----------------------------------------------------------------------------------
    alipay_api_base: str = "https://openapi.alipay.com/gateway.do"
    """Alipay's gateway; the sandbox's in development."""
    alipay_app_id: str = ""
    """The app of Alipay; empty switches Alipay off."""
    alipay_seller_id: str = ""
    """PID of the merchant that money goes to, 2088 and 12 digits."""
    alipay_key: str = ""
    """The app's private key, PEM or bare base64."""
    alipay_key_file: str = ""
    """File with the app's private key."""
    alipay_public_key: str = ""
    """Alipay's public key, PEM or bare base64."""
    alipay_public_key_file: str = ""
    """File with Alipay's public key."""


SANDBOX_VALUES: dict[str, str] = {
    "alipay_app_id": "2021000000000001",
    "alipay_seller_id": "2088000000000001",
}
"""What the simulator expects where the settings are empty. Public, so production refuses those that are secret."""
HARMLESS = frozenset({"alipay_app_id", "alipay_seller_id"})
"""Those that prove nothing: an installation may have the same."""
