"""Who we are to WeChat Pay: the merchant's numbers and keys, checked before the first call.

The rules (32 ASCII characters of APIv3 key, an address for notices over https without query) are those of the
platform's documentation of API v3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from backend.partners.paying import keys
from backend.settings import Settings, SettingsError

CALLBACK = "/v1/callbacks/wechat-pay"
LONGEST_ADDRESS = 255
OLDEST_CERTIFICATES = 43_200.0
"""Seconds after which the platform wants certificates to be fetched anew."""
TEST_SERIALS = frozenset(
    {
        "5F1C72E2A8931B72A2E13AF8DEE92471EB397115",
        "440024045C4A427599D09BB4E3DE0279F2E813FD",
        "5DEA10EF55877E3CF6C33255C2E7DEFFF7E427EC",
        "F5765756002FDD77",
        "D7CE59D1F522D701",
    }
)
"""Serial numbers of the certificates that the platform's public SDKs print in their tests."""
_TEST_API_V3_KEYS = frozenset({"a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb", "testMchAPIv3Key0", "testAPIv3Key0000"})
_SERIAL = re.compile(r"[0-9A-Fa-f]{8,64}")
_PUBLIC_KEY_ID = re.compile(r"PUB_KEY_ID_[0-9A-Za-z]{1,64}")


class Fault(NamedTuple):
    """One setting with which nothing can be paid: name, finding and remedy."""

    name: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Merchant:
    """Numbers and keys. It is printed without its keys."""

    mchid: str
    appid: str
    serial: str
    key: RSAPrivateKey
    api_v3_key: bytes
    v2_key: str
    public_key_id: str
    public_key: RSAPublicKey | None
    partner_mode: bool
    notify_url: str
    sandbox: bool

    def __repr__(self) -> str:
        return f"Merchant({self.mchid})"


def merchant_from(values: Settings) -> Merchant:
    """The merchant of the settings. Raises SettingsError with the first fault, so that nothing starts with it."""
    for fault in faults(values):
        raise SettingsError(f"{fault.name} {fault.what}: {fault.remedy}")
    has_public_key = bool(values.wechat_pay_public_key_id)
    return Merchant(
        mchid=values.wechat_pay_mchid,
        appid=values.wechat_pay_appid or values.wechat_appid,
        serial=values.wechat_pay_serial.upper(),
        key=keys.private_key(keys.text_of(values, "wechat_pay_key"), "wechat_pay_key"),
        api_v3_key=values.wechat_pay_api_v3_key.encode("ascii"),
        v2_key=values.wechat_pay_v2_key,
        public_key_id=values.wechat_pay_public_key_id,
        public_key=_public_key(values) if has_public_key else None,
        partner_mode=values.wechat_pay_mode == "partner",
        notify_url=notify_url(values),
        sandbox=values.sandbox,
    )


def notify_url(values: Settings) -> str:
    """The address for the platform's notices of payments and refunds."""
    return values.public_base.rstrip("/") + CALLBACK


def sub_merchants(values: Settings) -> Mapping[str, str]:
    """Partner mode: sub-merchants by the USCC of a department. Raises SettingsError when it has another form."""
    found: dict[str, str] = {}
    for each in filter(None, (part.strip() for part in values.wechat_pay_sub_merchants.split(","))):
        department, equals, number = (part.strip() for part in each.partition("="))
        if not equals or not department or not number.isdecimal() or department in found:
            raise SettingsError("WECHAT_PAY_SUB_MERCHANTS is written USCC=sub_mchid, comma separated")
        found[department] = number
    return found


def faults(values: Settings) -> Iterator[Fault]:
    """What is wrong with the settings of WeChat Pay; nothing when it is switched off."""
    if not values.wechat_pay_mchid:
        return
    if not values.wechat_pay_mchid.isdecimal():
        yield Fault("WECHAT_PAY_MCHID", "is no merchant number", "copy it from pay.weixin.qq.com")
    if not (values.wechat_pay_appid or values.wechat_appid):
        yield Fault("WECHAT_PAY_APPID", "is not set", "set the app that residents pay in")
    if not _SERIAL.fullmatch(values.wechat_pay_serial):
        yield Fault("WECHAT_PAY_SERIAL", "is no serial number of a certificate", "copy it from pay.weixin.qq.com")
    if not re.fullmatch(r"[\x21-\x7e]{32}", values.wechat_pay_api_v3_key):
        yield Fault("WECHAT_PAY_API_V3_KEY", "is not 32 ASCII characters", "set one at pay.weixin.qq.com and copy it")
    if values.wechat_pay_certificate_seconds > OLDEST_CERTIFICATES:
        yield Fault("WECHAT_PAY_CERTIFICATE_SECONDS", "is more than 12 hours", "lower it to 43200 or less")
    yield from _key_faults(values)
    if not values.sandbox:
        yield from _published(values)
        yield from _address_faults(notify_url(values))
    try:
        known = sub_merchants(values)
    except SettingsError as error:
        yield Fault("WECHAT_PAY_SUB_MERCHANTS", "cannot be read", str(error))
    else:
        if known and values.wechat_pay_mode != "partner":
            what = "names sub-merchants, and WECHAT_PAY_MODE is direct"
            yield Fault("WECHAT_PAY_SUB_MERCHANTS", what, "set WECHAT_PAY_MODE=partner or remove them")


def _key_faults(values: Settings) -> Iterator[Fault]:
    yield from _tried(lambda: _private_key(values), "wechat_pay_key", "name the file apiclient_key.pem")
    identity, readable = values.wechat_pay_public_key_id, "name the file pub_key.pem"
    has_key = bool(values.wechat_pay_public_key or values.wechat_pay_public_key_file)
    if identity and not _PUBLIC_KEY_ID.fullmatch(identity):
        yield Fault("WECHAT_PAY_PUBLIC_KEY_ID", "does not begin with PUB_KEY_ID_", "copy it from pay.weixin.qq.com")
    if has_key and not identity:
        yield Fault("WECHAT_PAY_PUBLIC_KEY_ID", "is not set, and the key is", "copy it from pay.weixin.qq.com")
    if identity:
        yield from _tried(lambda: _public_key(values), "wechat_pay_public_key", readable)


def _tried(read: Callable[[], object], name: str, remedy: str) -> Iterator[Fault]:
    try:
        read()
    except SettingsError as error:
        message = str(error)
        about = f"{name.upper()}_FILE" if message.startswith(f"{name.upper()}_FILE") else name.upper()
        yield Fault(about, message.removeprefix(about).strip(), remedy)


def _published(values: Settings) -> Iterator[Fault]:
    what, remedy = "is printed in the platform's public SDKs, so it protects nothing", "use your own"
    if values.wechat_pay_serial.upper() in TEST_SERIALS:
        yield Fault("WECHAT_PAY_SERIAL", what, remedy)
    if values.wechat_pay_api_v3_key in _TEST_API_V3_KEYS:
        yield Fault("WECHAT_PAY_API_V3_KEY", what, remedy)
    readers: dict[str, Callable[[], RSAPublicKey]] = {
        "WECHAT_PAY_KEY": lambda: _private_key(values).public_key(),
        "WECHAT_PAY_PUBLIC_KEY": lambda: _public_key(values),
    }
    for name, read in readers.items():
        try:
            if keys.is_published(read()):
                yield Fault(name, what, remedy)
        except SettingsError:
            continue  # `_key_faults` reports it


def _address_faults(url: str) -> Iterator[Fault]:
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.query or parts.fragment or len(url) > LONGEST_ADDRESS:
        what = f"makes an address for notices that the platform does not call (https, no query, {LONGEST_ADDRESS})"
        yield Fault("PUBLIC_BASE", what, "set the https:// address residents use")


def _private_key(values: Settings) -> RSAPrivateKey:
    return keys.private_key(keys.text_of(values, "wechat_pay_key"), "wechat_pay_key")


def _public_key(values: Settings) -> RSAPublicKey:
    return keys.public_key(keys.text_of(values, "wechat_pay_public_key"), "wechat_pay_public_key")
