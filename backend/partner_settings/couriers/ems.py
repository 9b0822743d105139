"""EMS (中国邮政): orders, labels and tracking; it does not push."""

from __future__ import annotations

from dataclasses import dataclass

from backend.partner_settings.declaration import CourierDeclaration


@dataclass(frozen=True, kw_only=True)
class EmsSettings:
    """The settings of EMS."""

    # -- courier EMS ------------------------------------------------------------------------------
    ems_api_base: str = "https://api.ems.com.cn/amp-prod-api/f/amp/api/open"
    """Address of EMS, whole; the last part is `test` for its test system."""
    ems_sender_no: str = ""
    """协议客户号; empty switches EMS off."""
    ems_authorization: str = ""
    """Authorisation code of the open platform."""
    ems_sign_key: str = ""
    """Key that requests are sealed with, base64 of 16 bytes."""
    ems_user_code: str = ""
    """User code, where the contract has one."""
    ems_product: str = "1"
    """Product that is ordered (`bizProductNo`), as the contract names it."""
    ems_query_seconds: float = 1800.0
    """Least time between two queries about one parcel."""


DECLARATION = CourierDeclaration(
    name="ems",
    title="EMS",
    company="ems",
    settings=EmsSettings,
    switch="ems_sender_no",
    required=("ems_authorization", "ems_sign_key"),
    sandbox_settings={
        "ems_sender_no": "1100099999999",
        "ems_authorization": "sandbox-ems-authorization",
        "ems_sign_key": "c2FuZGJveC1lbXMta2V5IQ==",
    },
    pushes=False,
    test_system="api.ems.com.cn/amp-prod-api/f/amp/api/test/",
    live="ems:Ems",
    sandbox="ems:EmsDesk",
)
