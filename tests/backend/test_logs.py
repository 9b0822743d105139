"""A log line is one line, without personal data."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from backend import logs

ID, PHONE = "11010519491231002X", "13800138000"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def line(message: str, *arguments: Any, error: Exception | None = None, **extra: Any) -> str:
    record = logging.LogRecord(
        "test", logging.INFO, "x.py", 1, message, arguments, (type(error), error, None) if error else None
    )
    vars(record).update(extra)
    return logs.JsonLines().format(record)


@pytest.mark.parametrize(
    "secret",
    [ID, ID.lower(), f"id={ID},", PHONE, f"+86 {PHONE}", f"86-{PHONE}", f"phone:{PHONE}"],
)
def test_numbers_of_people_are_taken_out_wherever_they_stand(secret: str):
    text = line("said %s", secret, error=ValueError(f"about {secret}"), why=f"because {secret}")

    assert ID[:17] not in text
    assert PHONE not in text


@pytest.mark.parametrize(
    "text",
    [f"Bearer {TOKEN}", "https://x.cn/?access_token=abcdef123&b=1", '{"session_key": "HyVFkGl5F5OQWJZZaNzBBg=="}',
     "secret=abcdef123", "openid: 'abcdef123'", "js_code=abcdef123",
     "postgresql://zb:abcdef123@host/db", "Authorization: abcdef123",
     "password=abcdef123"],
)  # fmt: skip
def test_tokens_and_secrets_are_taken_out(text: str):
    written = line(text)

    for part in ("abcdef123", "HyVFkGl5F5OQWJZZaNzBBg", "c2lnbmF0dXJl"):
        assert part not in written


def test_a_nested_value_is_scrubbed_too():
    written = line("x", facts={"phones": [PHONE], "who": {"id": ID}}, pair=(PHONE, 1), count=5, near=ValueError(PHONE))

    assert PHONE not in written
    assert ID not in written
    assert json.loads(written)["count"] == 5


def test_our_own_ids_are_left_readable():
    ours = "0194a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"

    assert ours in line(f"case {ours}")
    assert "2026-11-22T04:00:00" in line("at 2026-11-22T04:00:00")


@pytest.mark.parametrize(
    "forged", ['one\n{"level":"error"}', "one\r\ntwo", "one\x1b[31mred", "one\x00two", "one\u2028two", "one\x85two"]
)
def test_no_value_can_forge_a_second_line(forged: str):
    written = line("said %s", forged, who=forged, error=ValueError(forged))

    assert len(written.splitlines()) == 1
    assert "\x1b" not in written
    assert json.loads(written)["message"].startswith("said one")


def test_the_line_says_when_and_in_which_request():
    token = logs.request_id.set("front-end-0001")
    try:
        found = json.loads(line("hello"))
    finally:
        logs.request_id.reset(token)

    assert found["request_id"] == "front-end-0001"
    assert found["at"].endswith("+00:00")
    assert (found["level"], found["logger"]) == ("info", "test")


def test_what_cannot_be_written_as_json_does_not_keep_the_line_from_being_written():
    assert json.loads(line("x", thing=object(), number=float("nan"), bytes_=b"\xff"))["message"] == "x"


def test_a_lone_surrogate_is_written_as_something():
    assert "said" in line("said %s", "\ud800", who="\ud800")
