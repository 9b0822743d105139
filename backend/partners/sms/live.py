"""The gateway that the settings name."""

from __future__ import annotations

from backend.partners.base import Wire
from backend.partners.sms.aliyun import AliyunSms
from backend.partners.sms.port import Sms
from backend.partners.sms.tables import GATEWAYS, load
from backend.partners.sms.tencent import TencentSms
from backend.settings import Settings


def live_sms(wire: Wire, values: Settings) -> Sms | None:
    """The gateway; None when no address is set. Raises PartnerInsecure when production would speak without TLS,
    SettingsError when a table cannot be used; receipts of both gateways may come."""
    for each in GATEWAYS:
        load(each, values.sms_tables)
    if not values.sms_api_base:
        return None
    return AliyunSms(wire, values) if values.sms_provider == "aliyun" else TencentSms(wire, values)
