"""The tables say only what the rest of the service understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.partners.courier.port import OrderRefused, PartnerBusy, PartnerRefused, WaybillUnknown
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
def test_a_code_that_nobody_wrote_down_is_other(name: str, code: str):
    assert load(name).status(code) == "other"


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("kuaidi100", "1001", "arrived_city"),
        ("kuaidi100", "501", "at_station"),
        ("kuaidi100", "301", "delivered"),
        ("kuaidi100", "14", "refused"),
        ("kuaidi100", "派件", "out_for_delivery"),
        ("sf", "50", "collected"),
        ("sf", "80", "delivered"),
        ("sf", "8000", "other"),
        ("ems", "704", "delivered"),
        ("ems", "705", "delivery_failed"),
        ("kdniao", "211", "at_station"),
        ("kdniao", "404", "refused"),
        ("wechat", "100002", "collect_failed"),
        ("wechat", "300003", "delivered"),
    ],
)
def test_the_codes_that_decide_most_mean_what_the_vendors_say(name: str, code: str, status: str):
    assert load(name).status(code) == status


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
def test_a_table_that_says_what_nobody_understands_stops_the_start(tmp_path: Path, content: str):
    (tmp_path / "sf.toml").write_text(content)

    with pytest.raises(SettingsError, match="COURIER_TABLES"):
        load("sf", str(tmp_path))


def test_an_answer_becomes_the_trouble_that_the_table_says():
    table = load("kuaidi100")

    assert table.check("subscribe", "501") == "ok"
    with pytest.raises(WaybillUnknown):
        table.check("subscribe", "702")
    with pytest.raises(PartnerBusy) as nameless:
        table.check("subscribe", "")
    with pytest.raises(PartnerRefused) as unheard:
        table.check("subscribe", "9" * 400, "字" * 900)
    with pytest.raises(OrderRefused):
        table.check("subscribe", "700", otherwise=OrderRefused)
    assert nameless.value.partner_code == "no-code"
    assert (len(unheard.value.partner_code), len(unheard.value.message)) == (32, 200)
