"""The tables say only what the rest of the service understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.partners.courier.port import CourierOrderRefused, CourierWaybillNotFound, PartnerBusy, PartnerRefused
from backend.partners.courier.tables import FINE, REFUSALS, STATUSES, load
from backend.settings import SettingsError
from models.shipments import TrackStatus

NAMES = ("kuaidi100", "sf", "ems", "kdniao", "wechat")


def test_a_status_is_what_the_tables_of_the_service_remember():
    assert {each.value for each in TrackStatus} == STATUSES


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_table_is_a_status_that_we_remember(name: str):
    table = load(name)

    said = [*table.codes.values(), *table.words.values(), *table.states.values()]
    assert said
    assert [each for each in said if TrackStatus(each).value != each] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_a_meaning(name: str):
    meanings = {meaning for answers in load(name).answers.values() for meaning in answers.values()}

    assert meanings <= FINE | REFUSALS.keys()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("code", ["", "987654", "签收了吗", "\u202e80", "8 0"])
def test_a_code_that_is_not_listed_is_other(name: str, code: str):
    assert load(name).status(code) == "other"


DOCUMENTED: dict[str, dict[str, str]] = {
    "kuaidi100": {
        "created": "101 102", "collected": "1 103 揽收", "in_transit": "0 7 8 10 11 12 1002 1003 在途",
        "arrived_city": "1001", "out_for_delivery": "5 派件", "at_station": "501",
        "delivered": "3 301 302 303 304 签收", "refused": "14 203 拒签",
        "exception": "2 13 201 疑难", "delivery_failed": "204 206", "returning": "6 退回",
        "returned": "4 退签", "cancelled": "401 210",
    },
    "sf": {
        "collected": "50 54", "in_transit": "30 31 36", "out_for_delivery": "44 204", "at_station": "123 130",
        "delivery_failed": "70", "delivered": "80", "other": "8000", "exception": "99 648", "returning": "631",
    },
    "ems": {"in_transit": "306", "out_for_delivery": "702", "delivered": "704", "delivery_failed": "705"},
    "kdniao": {
        "collected": "1", "in_transit": "2", "arrived_city": "201", "out_for_delivery": "202", "at_station": "211",
        "delivered": "3 311", "exception": "4 401 402 403 412", "refused": "404",
    },
    "wechat": {
        "created": "100003", "collected": "100001", "collect_failed": "100002", "in_transit": "200001",
        "out_for_delivery": "300002", "delivered": "300003", "delivery_failed": "300004", "cancelled": "400001",
        "exception": "400002",
    },
}  # fmt: skip
"""What the vendors' documents and samples say of codes."""
STATES = {"0": "created", "1": "collected", "2": "in_transit", "3": "out_for_delivery", "4": "delivered",
          "5": "exception", "6": "delivered"}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_codes_mean_what_the_vendors_say(name: str):
    table = load(name)

    wrong = {
        code: table.status(code)
        for status, codes in DOCUMENTED[name].items()
        for code in codes.split()
        if table.status(code) != status
    }
    assert wrong == {}


def test_a_whole_parcel_of_wechats_is_where_its_documents_say():
    assert load("wechat").states == STATES


def test_companies_have_one_name_with_us():
    for name in ("kdniao", "wechat"):
        table = load(name)
        assert table.company("SF") == "shunfeng"
        assert table.their_company("shunfeng") == "SF"
        assert table.company("NEWONE") == "newone"
        assert table.their_company("newone") == "NEWONE"


def test_an_installation_puts_its_own_entries_before_ours(tmp_path: Path):
    (tmp_path / "sf.toml").write_text('[codes]\n"99" = "returning"\n"77" = "lost"\n[names]\nroutes = "NEW_ROUTES"\n')

    table = load("sf", str(tmp_path))

    assert (table.status("99"), table.status("77"), table.status("80")) == ("returning", "lost", "delivered")
    assert table.names["routes"] == "NEW_ROUTES"
    assert load("ems", str(tmp_path)) == load("ems")


@pytest.mark.parametrize(
    "content",
    [
        '[codes]\n"1" = "teleported"\n',
        '[answers.service]\n"1" = "perhaps"\n',
        "[names]\nroutes = 1\n",
        "codes = 1\n",
        "[what]\na = 1\n",
        '[answers]\n"1" = "ok"\n',
        "not toml",
    ],
)
def test_a_malformed_table_stops_the_start(tmp_path: Path, content: str):
    (tmp_path / "sf.toml").write_text(content)

    with pytest.raises(SettingsError, match="COURIER_TABLES"):
        load("sf", str(tmp_path))


def test_an_answer_becomes_the_error_of_the_table():
    table = load("kuaidi100")

    assert table.check("subscribe", "501") == "ok"
    with pytest.raises(CourierWaybillNotFound):
        table.check("subscribe", "702")
    with pytest.raises(PartnerBusy) as nameless:
        table.check("subscribe", "")
    with pytest.raises(PartnerRefused) as unheard:
        table.check("subscribe", "9" * 400, "字" * 900)
    with pytest.raises(CourierOrderRefused):
        table.check("subscribe", "700", otherwise=CourierOrderRefused)
    assert nameless.value.partner_code == "no-code"
    assert (len(unheard.value.partner_code), len(unheard.value.message)) == (32, 200)
