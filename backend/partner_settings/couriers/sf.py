"""顺丰 through its platform 丰桥: orders, labels and tracking."""

from __future__ import annotations

from dataclasses import dataclass

from backend.partner_settings.declaration import CourierDeclaration


@dataclass(frozen=True, kw_only=True)
class SfSettings:
    """The settings of 顺丰速运."""

    # -- courier 顺丰 -------------------------------------------------------------------------------
    sf_api_base: str = "https://bspgw.sf-express.com/std/service"
    """Address of 顺丰丰桥, whole; the sandbox's in development."""
    sf_partner_id: str = ""
    """顾客编码; empty switches 顺丰 off."""
    sf_checkword: str = ""
    """校验码: requests are signed with it."""
    sf_monthly_card: str = ""
    """月结卡号 that the office's postage is charged to; empty means that none is named."""
    sf_express_type: str = "2"
    """Product that is ordered (`expressTypeId`), as the contract names it."""
    sf_label_template: str = ""
    """Template of the cloud print service for labels; empty means that the courier prints them."""
    sf_query_seconds: float = 600.0
    """Least time between two queries about one parcel."""


DECLARATION = CourierDeclaration(
    name="sf",
    title="顺丰速运",
    company="shunfeng",
    settings=SfSettings,
    switch="sf_partner_id",
    required=("sf_checkword",),
    sandbox_settings={
        "sf_partner_id": "SANDBOXSF",
        "sf_checkword": "sandbox-checkword-of-32-letters-x",
        "sf_monthly_card": "7551234567",
        "sf_label_template": "fm_76130_standard_SANDBOXSF",
    },
    harmless=frozenset({"sf_monthly_card"}),
    test_system="sfapi-sbox.sf-express.com/",
    unsigned=lambda own: "SF_PARTNER_ID",
    live="sf:Sf",
    sandbox="sf:SfDesk",
)
