"""Our identity at Alipay: app, seller and keys, checked before the first call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from backend.partners.paying import keys
from backend.settings import Settings, SettingsError

CALLBACK = "/v1/callbacks/alipay"
NAME = "alipay"
"""The name of the partner in metrics, logs and the table of received messages."""


@dataclass(frozen=True)
class AlipayMerchant:
    """Numbers and keys. It is printed without its keys."""

    app_id: str
    seller_id: str
    key: RSAPrivateKey
    public_key: RSAPublicKey
    notify_url: str

    def __repr__(self) -> str:
        return f"AlipayMerchant({self.app_id})"


def merchant_from(values: Settings) -> AlipayMerchant:
    """The merchant of the settings. Raises SettingsError with the first fault, so that nothing starts with it."""
    for name, what, remedy in faults(values):
        raise SettingsError(f"{name} {what}: {remedy}")
    return AlipayMerchant(
        app_id=values.alipay_app_id,
        seller_id=values.alipay_seller_id,
        key=_key(values),
        public_key=_public_key(values),
        notify_url=values.public_base.rstrip("/") + CALLBACK,
    )


def faults(values: Settings) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the settings of Alipay: setting, what is so, what to do. Nothing when it is switched off."""
    if not values.alipay_app_id:
        return
    if not values.alipay_app_id.isdecimal():
        yield "ALIPAY_APP_ID", "is no app of Alipay", "copy it from open.alipay.com"
    if len(values.alipay_seller_id) != 16 or not values.alipay_seller_id.isdecimal():
        yield "ALIPAY_SELLER_ID", "is no PID (16 digits)", "copy it from open.alipay.com"
    ours: dict[str, Callable[[], RSAPublicKey]] = {
        "ALIPAY_KEY": lambda: _key(values).public_key(),
        "ALIPAY_PUBLIC_KEY": lambda: _public_key(values),
    }
    for name, read in ours.items():
        try:
            if keys.is_published(read()) and not values.sandbox:
                yield name, "is printed in public SDKs, so it protects nothing", "use your own"
        except SettingsError as error:
            about = f"{name}_FILE" if str(error).startswith(f"{name}_FILE") else name
            yield about, str(error).removeprefix(about).strip(), "copy it from open.alipay.com"
    parts = urlsplit(values.public_base)
    if not values.sandbox and (parts.scheme != "https" or parts.query):
        what = "makes an address for notices that Alipay should not call"
        yield "PUBLIC_BASE", what, "set the https:// address residents use"


def _key(values: Settings) -> RSAPrivateKey:
    return keys.private_key(keys.text_of(values, "alipay_key"), "alipay_key")


def _public_key(values: Settings) -> RSAPublicKey:
    return keys.public_key(keys.text_of(values, "alipay_public_key"), "alipay_public_key")
