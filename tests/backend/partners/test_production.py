"""Production starts only with keys of its own: what is published here keeps it from starting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend import diagnosis
from backend.partners import partners_from, simulated
from backend.partners.sandbox import Sandbox
from backend.settings import Settings, SettingsError

OWN: dict[str, Any] = {
    "profile": "production",
    "data_keys": "k1:" + "a1" * 32,
    "fingerprint_keys": "k1:" + "b2" * 32,
    "token_secret": "c3" * 32,
    "public_base": "https://zw.example.gov.cn",
    "wechat_appid": "wx0000000000000000",
    "wechat_secret": "d4" * 16,
    "sms_api_base": "https://sms.tencentcloudapi.com",
    "sms_secret_id": "AKIDours",
    "sms_secret_key": "e5" * 16,
    "sms_app_id": "1400000001",
    "sms_sign_name": "掌办",
    "sms_push_token": "f6" * 16,
    "kuaidi100_key": "ours100",
    "kuaidi100_customer": "customer",
    "kuaidi100_salt": "salt-of-ours",
    "sf_partner_id": "OURS",
    "sf_checkword": "checkword-of-ours",
    "sf_label_template": "fm_76130_standard_OURS",
    "ems_sender_no": "1100000000001",
    "ems_authorization": "authorization-of-ours",
    "ems_sign_key": "MDEyMzQ1Njc4OWFiY2RlZg==",
    "kdniao_business_id": "1990002",
    "kdniao_app_key": "app-key-of-ours",
    "courier_push_token": "a7" * 16,
}
SECRETS = {
    name: value
    for known in (simulated.WECHAT, simulated.SMS, simulated.COURIERS, simulated.MONEY, simulated.FISCAL)
    for name, value in known.items()
    if name not in simulated.HARMLESS
}
ADDRESSES = {
    "sms_api_base": "https://localhost:18080",
    "kuaidi100_api_base": "https://127.0.0.1:18080/couriers/kuaidi100",
    "sf_api_base": "https://sfapi-sbox.sf-express.com/std/service",
    "ems_api_base": "https://api.ems.com.cn/amp-prod-api/f/amp/api/test",
    "kdniao_api_base": "https://sandboxapi.kdniao.com:8080/kdniaosandbox/gateway/exterfaceInvoke.json",
}


def values(**changes: Any) -> Settings:
    return replace(Settings(), **{**OWN, **changes})


def test_an_installation_with_its_own_keys_starts():
    bundle = partners_from(values())

    assert (set(bundle.couriers), set(bundle.trackers)) == ({"sf", "ems"}, {"kuaidi100", "sf", "ems", "kdniao"})


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_key_of_the_simulators_stops_production(name: str):
    with pytest.raises(SettingsError, match=name.upper()):
        partners_from(values(**{name: SECRETS[name]}))


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_an_address_where_no_real_partner_answers_stops_production(name: str):
    with pytest.raises(SettingsError, match=name.upper()):
        partners_from(values(**{name: ADDRESSES[name]}))


@pytest.mark.parametrize("base", ["https://localhost", "https://[::1]/x", "https://127.9.9.9", "https://a.localhost."])
def test_this_machine_has_many_names(base: str):
    with pytest.raises(SettingsError, match="SF_API_BASE"):
        partners_from(values(sf_api_base=base))


@pytest.mark.parametrize(
    "name", ["sf_checkword", "kuaidi100_customer", "kuaidi100_salt", "ems_sign_key", "kdniao_app_key", "sms_secret_key"]
)
def test_a_partner_that_would_refuse_us_or_accept_any_caller_stops_production(name: str):
    with pytest.raises(SettingsError, match=name.upper()):
        partners_from(values(**{name: ""}))


@pytest.mark.parametrize("name", ["courier_push_token", "sms_push_token"])
def test_a_token_that_can_be_guessed_stops_production(name: str):
    with pytest.raises(SettingsError, match=name.upper()):
        partners_from(values(**{name: "guess"}))


@pytest.mark.parametrize("switch", ["kuaidi100_key", "sf_partner_id", "ems_sender_no", "kdniao_business_id"])
def test_a_courier_that_is_switched_off_stops_no_start(switch: str):
    prefix = switch.partition("_")[0]
    left = {name: value for name, value in SECRETS.items() if name.startswith(f"{prefix}_") and name != switch}

    partners_from(values(**{switch: "", **left}))


def test_names_that_prove_nothing_may_be_the_same_by_chance():
    partners_from(values(**{name: simulated.SMS[name] for name in ("sms_app_id", "sms_sign_name")}))


def test_everything_by_which_a_simulator_knows_us_is_known_here():
    told = Sandbox.of(Settings()).settings()
    written_down = {**simulated.WECHAT, **simulated.SMS, **simulated.COURIERS, **simulated.MONEY, **simulated.FISCAL}

    assert {name: told[name] for name in written_down} == written_down
    not_keys = (
        "_base",
        "_key_file",
        "_serial",
        "_public_key",
        "_public_key_id",
        "wechat_pay_key",
        "alipay_key",
        "wechat_pay_appid",
    )
    assert {name for name in told if not name.endswith(not_keys)} == set(written_down)


def test_development_and_the_simulators_themselves_start_with_them():
    told = Sandbox.of(Settings()).settings()
    known = {name: told[name] for name in SECRETS}

    assert partners_from(replace(Settings(), **known)).sms is None
    assert partners_from(replace(Settings(), sandbox=True, sms_api_base="http://127.0.0.1:1", **known)).sms is not None


def test_the_doctor_lists_all_of_them_at_once():
    with_all = replace(values(**SECRETS), profile="development")

    told = {each.about for each in diagnosis.of_settings(with_all, production=True) if each.fatal}

    assert {name.upper() for name in SECRETS} <= told
