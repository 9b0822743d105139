"""Faults of a courier's settings are named before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend import diagnosis
from backend.partners import partners_from
from backend.partners.courier.faults import faults
from backend.settings import Settings, SettingsError
from tests.backend.partners.courier.conftest import values_for


def found(**changes: Any) -> set[tuple[str, str]]:
    return {(weight, name) for weight, name, _, _ in faults(values_for("https://courier.example", **changes))}


def test_nothing_is_said_of_good_settings_nor_of_none():
    assert found() == set()
    assert list(faults(Settings())) == []


@pytest.mark.parametrize(
    ("changes", "weight", "name"),
    [
        ({"kuaidi100_customer": ""}, "broken", "KUAIDI100_CUSTOMER"),
        ({"kuaidi100_salt": ""}, "unsafe", "KUAIDI100_SALT"),
        ({"kuaidi100_api_base": "http://127.0.0.1"}, "unsafe", "KUAIDI100_API_BASE"),
        ({"sf_checkword": ""}, "broken", "SF_CHECKWORD"),
        ({"sf_api_base": "http://127.0.0.1"}, "unsafe", "SF_API_BASE"),
        ({"ems_authorization": ""}, "broken", "EMS_AUTHORIZATION"),
        ({"ems_sign_key": ""}, "broken", "EMS_SIGN_KEY"),
        ({"ems_sign_key": "short"}, "broken", "EMS_SIGN_KEY"),
        ({"kdniao_app_key": ""}, "broken", "KDNIAO_APP_KEY"),
        ({"courier_push_token": ""}, "missing", "COURIER_PUSH_TOKEN"),
        ({"courier_push_token": "guess"}, "unsafe", "COURIER_PUSH_TOKEN"),
        ({"courier_push_networks": "10.0.0.0/8, moon"}, "broken", "COURIER_PUSH_NETWORKS"),
    ],
)
def test_every_fault_has_its_name_and_weight(changes: dict[str, Any], weight: str, name: str):
    assert (weight, name) in found(**changes)


def test_a_token_is_only_wanted_where_pushes_carry_no_signature():
    assert found(courier_push_token="", sf_partner_id="") == set()
    assert found(courier_push_token="", sf_partner_id="", kdniao_push_signed=False) == {
        ("missing", "COURIER_PUSH_TOKEN")
    }


def test_a_malformed_table_is_named_and_stops_the_start(tmp_path: Path):
    (tmp_path / "kdniao.toml").write_text('[codes]\n"1" = "teleported"\n')

    assert found(courier_tables=str(tmp_path)) == {("broken", "COURIER_TABLES")}
    with pytest.raises(SettingsError):
        partners_from(values_for("https://courier.example", courier_tables=str(tmp_path)))


def test_the_doctor_passes_them_on():
    remarks = diagnosis.of_settings(values_for("https://courier.example", sf_checkword=""), production=True)

    (remark,) = [each for each in remarks if each.about == "SF_CHECKWORD"]
    assert (remark.weight, remark.fatal) == ("broken", True)


def test_couriers_are_there_when_they_are_switched_on_and_only_then():
    everybody = partners_from(values_for("https://courier.example"))
    nobody = partners_from(Settings())

    assert set(everybody.couriers) == {"sf", "ems"}
    assert set(everybody.trackers) == {"kuaidi100", "sf", "ems", "kdniao"}
    assert all(name == each.name for name, each in (*everybody.couriers.items(), *everybody.trackers.items()))
    assert (dict(nobody.couriers), dict(nobody.trackers)) == ({}, {})
