"""Values fit what WeChat takes, stay readable, and are never looked at as templates."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend.partners.wechat.values import check_value
from notifications import wording

CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=30)
PIECES = st.one_of(
    CHINESE,
    st.integers(0, 10**18).map(str),
    st.sampled_from(["（", "）", "、", "-", " ", "2026-11-22", "15:04", "1,234.50", "A", "ISO"]),
    st.text(max_size=6),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("居民身份证申领", "居民身份证申领"),
        ("企业职工基本养老保险参保登记（个人身份参保）变更申请", "企业职工基本养老保险参保登记…变更申请"),
        ("居民身份证申领（首次申领、未成年人）受理通知单", "居民身份证申领（首次申领、未…受理通知单"),
        ("新生儿出生一件事套餐2026年11月22日起办理通知", "新生儿出生一件事套餐…日起办理通知"),
        ("1234567890123456789012345", "…"),
    ],
)
def test_a_long_text_keeps_its_head_and_its_telling_tail(text: str, short: str):
    assert wording.shorten(text, 20) == short


@given(TEXTS, st.integers(1, 40))
@example("一" * 20, 20)
@example("😀" * 11, 20)
def test_a_short_text_is_never_wider_than_its_room_and_shortening_twice_changes_nothing(text: str, room: int):
    clean = wording.clean(text)

    once = wording.shorten(clean, room)

    assert wording.width(once) <= room
    assert wording.shorten(once, room) == once
    assert wording.clean(clean) == clean


@given(TEXTS, st.integers(1, 40))
def test_no_number_is_ever_cut(text: str, room: int):
    clean = wording.clean(text)

    short = wording.shorten(clean, room)

    assert set(re.findall(r"\d+", short)) <= set(re.findall(r"\d+", clean))


@given(st.sampled_from(["thing1", "name2"]), TEXTS)
def test_wechat_accepts_every_text_value_that_we_make(key: str, text: str):
    value = wording.fit(key, re.sub(r"\d", "一", text) if key.startswith("name") else text)

    assert check_value(key, value) is None


@given(st.from_regex(r"[0-9A-Z\-]{1,64}", fullmatch=True))
def test_every_case_number_fits_and_a_short_one_stays_whole(number: str):
    value = wording.fit("character_string2", number)

    assert check_value("character_string2", value) is None
    assert value == number if len(number) <= 32 else value == f"...{number[-12:]}"


@pytest.mark.parametrize("hostile", ["{0.__class__}", "{{7*7}}", "{item}", "${x}", "%s", "{number}", "<b>&amp;</b>"])
def test_a_value_that_looks_like_a_template_stays_these_characters(hostile: str):
    assert wording.fill("您好，{item}已受理", {"item": hostile}) == f"您好，{hostile}已受理"


@pytest.mark.parametrize("bad", ["a\nb", "a\r\nb", "a\x00b", "a\u2028b", "a\u202eb", "a\u200bb", "a\tb", "  a   b "])
def test_a_value_is_one_line_of_visible_characters(bad: str):
    assert wording.clean(bad) == "a b"


@given(st.text())
def test_cleaning_leaves_nothing_that_wechat_refuses_in_any_value(text: str):
    cleaned = wording.clean(text)

    assert not any(character in cleaned for character in "\n\r\t\x00\u2028\u2029\u202e")
    assert cleaned == cleaned.strip()


@pytest.mark.parametrize(
    "text", ["张三11010519491231002X", "电话13800138000", "+8613800138000", "旧证110105491231002", "+86 13800138000"]
)
def test_numbers_of_people_are_taken_out(text: str):
    assert not re.search(r"\d{6}", wording.without_people(text))


def test_a_case_number_is_no_number_of_a_person():
    number = "12441500196720244T3442199806003202206230068"

    assert wording.without_people(number) == number


def test_a_page_carries_its_values_quoted_and_the_message():
    page = wording.page("pages/case?number={number}&message={message}", {"number": "A&b=/1"}, UUID(int=7))

    assert page == "pages/case?number=A%26b%3D%2F1&message=00000000-0000-0000-0000-000000000007"


def test_a_phrase_keeps_five_chinese_characters():
    assert wording.fit("phrase3", "审批通过啦！ok") == "审批通过啦"
    assert wording.fit("phrase3", "已作出决定了") == "已作出决定"
