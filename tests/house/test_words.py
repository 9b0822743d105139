"""Names and sentences use the words of the glossary, and none that it lists as *Not called*."""

from __future__ import annotations

import pytest

from tests.house import words
from tests.house.words import Found, Rule

ALLOWED = {
    "backend/job_queue.py": {"listener"},  # asyncpg's own name of the method
    "tests/house/test_words.py": {"told", "whoever"},
}
"""Words that are a partner's or a library's own, by file."""


def broken(found: Found, rules: tuple[Rule, ...]) -> list[str]:
    """What a name or a sentence breaks, as people read it."""
    return [
        f"{found.path}:{found.line} {found.kind} {found.text.strip()[:100]!r}: not {rule.word!r}"
        for rule in rules
        if rule.holds_at(found.path) and rule.word.strip("…()") not in ALLOWED.get(found.path, ())
    ]


def test_names_are_the_words_of_the_glossary():
    assert [each for found in words.names() for each in broken(found, words.in_name(found.kind, found.text))] == []


def test_sentences_use_the_words_of_the_glossary():
    assert [each for found in words.prose() for each in broken(found, words.in_prose(found.text))] == []


@pytest.mark.parametrize(
    ("word", "kind", "text", "forbidden"),
    [
        ("told", "argument", "told_before", True),
        ("told", "class", "ToldBefore", True),
        ("told", "argument", "untold", False),
        ("set_aside", "function", "was_set_aside", True),
        ("capitals.py", "module", "capitals", True),
        ("capitals.py", "argument", "capitals", False),
        ("one()", "function", "one", True),
        ("one()", "function", "one_day", False),
        ("…Seen", "class", "RefundSeen", True),
        ("…Seen", "class", "SeenRefund", False),
        ("NoSuch…", "class", "NoSuchRefund", True),
        ("…Faulty", "class", "Faulty", True),
    ],
)
def test_each_form_of_a_rule_forbids_what_it_says(word: str, kind: str, text: str, forbidden: bool):
    assert words.is_in_name(word, kind, text) is forbidden


def test_a_rule_of_an_area_holds_there_only():
    rule = Rule("turn", ("notifications",))

    assert broken(Found("notifications/outbox.py", 1, "argument", "turn"), (rule,))
    assert not broken(Found("backend/database.py", 1, "argument", "turn"), (rule,))


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [("Whoever asks is answered.", True), ("a `whoever` in code", False), ("nobodyelse", False), ("", False)],
)
def test_prose_is_compared_word_by_word_and_without_code(text: str, forbidden: bool):
    assert any(words.is_in_prose(word, words.without_code(text)) for word in ("whoever", "nobody")) is forbidden


def test_the_glossary_names_enough_that_is_not_said():
    names, prose = words.rules()

    assert len(names) > 60
    assert {"whoever", "whatever", "somebody", "nobody", "told", "heard", "believed"} <= {rule.word for rule in prose}
