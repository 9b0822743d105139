"""WeChat's value limits, kind by kind."""

from __future__ import annotations

import pytest

from backend.partners.wechat.values import check_value, kind_of

GOOD = [
    ("thing1", "好" * 20),
    ("thing12", "a!，。😀"),
    ("number01", "1" * 32),
    ("number2", "-12.50"),
    ("letter3", "A" * 32),
    ("symbol1", "!?#@%"),
    ("character_string1", "WX-2026_0001#A"),
    ("time1", "09:30"),
    ("time1", "23:59:59"),
    ("time1", "2026年1月2日 09:30"),
    ("time1", "09:30~10:30"),
    ("time1", "2026-01-02 09:30 ~ 2026-01-03 10:30"),
    ("date1", "2019年10月1日"),
    ("date1", "2019年10月"),
    ("date1", "10月1日"),
    ("date1", "2019-10-01 15:01"),
    ("date1", "2019/10/01~2019/10/07"),
    ("amount1", "¥12.50"),
    ("amount1", "12元"),
    ("amount1", "1234567890"),
    ("phone_number1", "+86-0766-66888866"),
    ("car_number1", "粤A8Z888挂"),
    ("name1", "阿" * 10),
    ("name1", "A" * 20),
    ("phrase1", "正在办理"),
]
BAD = [
    ("thing1", "好" * 21),
    ("thing1", "两行\n文字"),
    ("thing1", "退格\x08"),
    ("thing1", "分行\u2028"),
    ("thing1", "代理\ud800"),
    ("thing1", ""),
    ("thing1", "   "),
    ("number1", "1" * 33),
    ("number1", "十二"),
    ("number1", "١٢"),
    ("letter1", "abc1"),
    ("letter1", "a" * 33),
    ("symbol1", "!!!!!!"),
    ("symbol1", "a!"),
    ("character_string1", "编号1"),
    ("character_string1", "1" * 33),
    ("time1", "24:00"),
    ("time1", "9点30分"),
    ("date1", "2019年13月1日"),
    ("date1", "2019-10/01"),
    ("date1", "明天"),
    ("amount1", "12345678901"),
    ("amount1", "十二元"),
    ("amount1", "¥¥1"),
    ("phone_number1", "1" * 18),
    ("phone_number1", "打电话"),
    ("car_number1", "京A123456789"),
    ("name1", "阿" * 11),
    ("name1", "A" * 21),
    ("name1", "张A" * 6),
    ("name1", "张3"),
    ("phrase1", "已经受理完毕"),
    ("phrase1", "done"),
    ("unknown1", "x"),
    ("thing", "x"),
    ("thing1.value", "x"),
]


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_what_wechat_accepts_has_nothing_wrong(key: str, value: str):
    assert check_value(key, value) is None


@pytest.mark.parametrize(("key", "value"), BAD)
def test_what_wechat_refuses_is_said_to_be_wrong(key: str, value: str):
    assert check_value(key, value)


def test_an_enum_takes_only_the_choices_of_its_template():
    assert check_value("enum1", "同意", choices=("同意", "不同意")) is None
    assert check_value("enum1", "随便", choices=("同意", "不同意"))
    assert check_value("enum1", "随便") is None


def test_a_key_names_its_kind():
    assert kind_of("thing1") == "thing"
    assert kind_of("character_string02") == "character_string"
    assert kind_of("thing") is None
    assert kind_of("banana1") is None
