"""What becomes of what people type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.catalogue import wording
from backend.catalogue.indexing import searchable


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("身份证", ["身份证"]),
        ("  身份证   补领 ", ["身份证", "补领"]),
        ("身份证、补领", ["身份证", "补领"]),
        ("身份证bl", ["身份证", "bl"]),
        ("ＳＦＺ", ["sfz"]),
        ("12345热线", ["12345", "热线"]),
        ("身份证 身份证", ["身份证"]),
        ("%_'\\", []),
        ("", []),
        ("一 二 三 四 五 六 七", ["一", "二", "三", "四", "五", "六"]),
    ],
)
def test_a_query_is_cut_into_words(typed: str, words: list[str]):
    assert wording.terms(typed) == words


@pytest.mark.parametrize(
    ("words", "content"),
    [
        (["我的身份证丢了怎么补办"], ["身份证", "丢了", "补办"]),
        (["怎么办理护照"], ["护照"]),
        (["开饭店要什么证"], ["开", "饭店"]),
        (["怎么办理"], []),
        (["补办"], ["补办"]),
    ],
)
def test_words_that_say_nothing_are_left_out(words: list[str], content: list[str]):
    assert wording.content_words(words) == content


def test_a_word_is_also_looked_for_under_what_means_the_same():
    assert "落户" in wording.alternatives("入户")
    assert "新生儿落户" in wording.alternatives("新生儿入户")
    assert wording.alternatives("食品") == ["食品"]


def test_the_word_itself_comes_first_and_there_are_not_too_many():
    for group in wording.dictionary().synonyms:
        for word in group:
            found = wording.alternatives(word)
            assert found[0] == word
            assert len(found) <= wording.MAX_ALTERNATIVES


def test_the_dictionary_holds_each_word_in_its_normal_form_and_no_group_twice_the_same():
    for group in wording.dictionary().synonyms:
        assert len(set(group)) == len(group) > 1
        assert [wording.normal(word) for word in group] == list(group)


def test_no_word_is_both_telling_and_noise():
    synonyms = {word for group in wording.dictionary().synonyms for word in group}

    assert synonyms.isdisjoint(wording.dictionary().noise)


@pytest.mark.parametrize(
    ("text", "letters"),
    [("居民身份证补领", "jmsfzbl"), ("住房公积金还贷", "zfgjjhd"), ("参保登记", "cbdj"), ("A类（试点）", "alsd")],
)
def test_initials_are_read_by_the_phrase(text: str, letters: str):
    assert wording.initials(text) == letters


def test_full_pinyin_begins_at_syllables():
    assert wording.pinyin_words("补领") == ["buling", "ling"]


@given(st.text(max_size=60))
def test_the_normal_form_is_stable_and_has_no_room_for_wildcards(text: str):
    once = wording.normal(text)

    assert wording.normal(once) == once or not text.isascii()
    assert not set("%_ \n\\'") & set(once)


NAMES = st.text(st.sampled_from("居民身份证补领公积金提取abc12"), min_size=1, max_size=12)


@given(NAMES, st.data())
def test_the_index_holds_every_fragment_of_a_name(name: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(name) - 1))
    fragment = wording.normal(name[start : data.draw(st.integers(start + 1, len(name)))])
    text = searchable(name, [], [])

    assert fragment in text.name_text
    assert set(wording.cover(fragment)) <= set(text.grams)


@given(NAMES, st.data())
def test_the_index_holds_every_fragment_of_the_initials(name: str, data: st.DataObject):
    letters = wording.initials(name)
    start = data.draw(st.integers(0, len(letters) - 1))
    fragment = letters[start : data.draw(st.integers(start + 1, len(letters)))]
    text = searchable(name, [], [])

    assert fragment in text.initials
    assert wording.marked("i", wording.cover(fragment)) <= set(text.grams)


@given(st.text(st.sampled_from("abcdef"), min_size=1, max_size=12))
def test_a_cover_holds_every_character_with_few_pairs(text: str):
    cover = wording.cover(text)

    assert set("".join(cover)) == set(text)
    assert len(cover) <= len(text) // 2 + 1
