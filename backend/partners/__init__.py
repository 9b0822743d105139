"""The outside world: one folder per partner, each with a port, a live body and a sandbox.

Use cases receive what they need as a keyword (`wechat=partners.wechat`); only the commands that start a
process build the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from backend.partners import simulated
from backend.partners.base import Wire
from backend.partners.checking import Fault, simulated_faults
from backend.partners.courier.faults import faults as courier_faults
from backend.partners.courier.port import Ordering, Tracking
from backend.partners.fiscal_receipt.port import FiscalReceipts
from backend.partners.paying.port import PayChannel
from backend.partners.sms.faults import faults as sms_faults
from backend.partners.sms.port import Sms
from backend.partners.wechat.port import WeChat
from backend.settings import Settings, SettingsError

__all__ = ["Partners", "equip", "faults", "in_use", "partners_from"]


@dataclass(frozen=True)
class Partners:
    """Every partner of the service. `sms` is None when no gateway is configured; `channels` are the payment
    channels, by name."""

    wechat: WeChat
    sms: Sms | None
    wire: Wire
    channels: Mapping[str, PayChannel] = field(default_factory=dict)
    couriers: Mapping[str, Ordering] = field(default_factory=dict)
    """Couriers that take orders, by name."""
    trackers: Mapping[str, Tracking] = field(default_factory=dict)
    """Sources of tracking data, by name."""

    fiscal: FiscalReceipts | None = None
    """The issuer of 财政电子票据; None when none is configured."""

    async def close(self) -> None:
        """End the connections; the process is going down."""
        await self.wire.close()


def partners_from(values: Settings) -> Partners:
    """The partners at the addresses of the settings; connections are made at the first call.

    Raises PartnerInsecure when production would speak to one without TLS, SettingsError when a payment channel or
    a courier is switched on and its numbers, keys or tables cannot be right, or, in production, would be anybody's.
    """
    # The bodies are loaded here: imports of the service stay small, and a channel that is off is never loaded.
    from backend.partners.courier.live import live_couriers
    from backend.partners.fiscal_receipt.live import LiveFiscalReceipts
    from backend.partners.sms.live import live_sms
    from backend.partners.wechat.live import LiveWeChat

    wire = Wire(values)
    couriers, trackers = live_couriers(wire, values)
    bundle = Partners(
        wechat=LiveWeChat(wire, values),
        sms=live_sms(wire, values),
        wire=wire,
        channels=_channels(wire, values),
        couriers=couriers,
        trackers=trackers,
        fiscal=LiveFiscalReceipts(wire, values) if values.fiscal_receipt_base else None,
    )
    if values.profile == "production":
        _refuse_what_is_unsafe(values)
    return bundle


def faults(values: Settings) -> Iterator[Fault]:
    """What is wrong with the settings of couriers and of the SMS gateway, and public values in those of the others.

    A payment channel checks its own settings.
    """
    yield from simulated_faults(values, {**simulated.WECHAT, **simulated.MONEY, **simulated.FISCAL})
    yield from courier_faults(values)
    yield from sms_faults(values)


def _refuse_what_is_unsafe(values: Settings) -> None:
    for weight, name, what, remedy in faults(values):
        if weight != "missing":
            raise SettingsError(f"{name} {what}: {remedy}")


def _channels(wire: Wire, values: Settings) -> dict[str, PayChannel]:
    channels: list[PayChannel] = []
    if values.wechat_pay_mchid:
        from backend.partners.wechat_pay.live import LiveWeChatPay

        channels.append(LiveWeChatPay(wire, values))
    if values.alipay_app_id:
        from backend.partners.alipay.live import LiveAlipay

        channels.append(LiveAlipay(wire, values))
    return {each.name: each for each in channels}


_in_use: Partners | None = None


def equip(partners: Partners | None) -> None:
    """Set the partners that jobs call. Every process that runs jobs calls it once, at its start."""
    global _in_use
    _in_use = partners


def in_use() -> Partners:
    """The partners of this process. Raises RuntimeError before `equip`."""
    if _in_use is None:
        raise RuntimeError("backend.partners.equip(partners) was not called in this process")
    return _in_use
