"""The settings of the partners, a part of `Settings`, which reads and checks them.

A partner without its key or address is switched off: its routes and its channel to the resident report that plainly.
Every partner has a module here with its settings and the public values of its simulator; a courier declares more, in
`couriers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from backend.partner_settings.alipay import AlipaySettings
from backend.partner_settings.couriers import COURIERS
from backend.partner_settings.fiscal_receipt import FiscalReceiptSettings
from backend.partner_settings.sms import SmsSettings
from backend.partner_settings.wechat import WeChatSettings
from backend.partner_settings.wechat_pay import WeChatPaySettings

if TYPE_CHECKING:
    CourierSettings = object
else:
    CourierSettings = type("CourierSettings", tuple(each.settings for each in COURIERS.values()), {})

Own = TypeVar("Own")


@dataclass(frozen=True, kw_only=True)
class PartnerSettings(
    FiscalReceiptSettings, AlipaySettings, WeChatPaySettings, SmsSettings, WeChatSettings, CourierSettings
):
    """Addresses, names and keys of the outside world. Times are in seconds unless the name says otherwise."""

    # -- partners -------------------------------------------------------------------------------
    partner_connect_timeout: float = 2.0
    """How long connecting to a partner may take."""
    partner_timeout: float = 5.0
    """How long a call to a partner may take."""
    partner_body_limit: int = 1_048_576
    """Largest answer of a partner in bytes."""
    inbound_kept_days: int = 30
    """How long what a partner pushed is kept, sealed."""

    # -- couriers -------------------------------------------------------------------------------
    courier_push_token: str = ""
    """Unguessable last part of the address that partners push to who sign nothing; 32 random characters or more. Empty
    means that they cannot push."""
    courier_push_networks: str = ""
    """Networks that pushes without a signature may come from, comma separated; empty means from anywhere."""
    courier_tables: str = ""
    """Folder with tables (`<courier>.toml`) whose entries go before those of the service: codes of nodes, answers,
    names of services."""

    def of(self, kind: type[Own]) -> Own:
        """These settings, typed as those that one courier declares. Raises TypeError for an undeclared `kind`."""
        if not isinstance(self, kind):
            raise TypeError(f"{kind.__name__} belongs to no declared courier")
        return self
