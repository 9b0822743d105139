"""Reading any body is quick and ends in a refusal or in plain texts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.partners.wechat.body_reader import read_body, read_marked
from backend.partners.wechat.errors import WechatPushInvalid

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE: dict[str, bytes] = {
    "billion laughs": f'<!DOCTYPE xml [<!ENTITY l0 "lol">{LAUGHS}]><xml><A>&l9;</A></xml>'.encode(),
    "quadratic blow-up": b'<!DOCTYPE x [<!ENTITY a "'
    + b"a" * 30_000
    + b'">]><xml><A>'
    + b"&a;" * 5_000
    + b"</A></xml>",
    "external entity": b'<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><A>&x;</A></xml>',
    "external DTD": b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/evil.dtd"><xml><A>1</A></xml>',
    "parameter entity": b'<!DOCTYPE xml [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]><xml/>',
    "bare DTD": b"<!DOCTYPE xml><xml><A>1</A></xml>",
    "unknown entity": b"<xml><A>&nope;</A></xml>",
    "processing instruction": b'<xml><?php system("id"); ?><A>1</A></xml>',
    "stylesheet": b'<?xml-stylesheet href="http://127.0.0.1:9/"?><xml><A>1</A></xml>',
    "deep nesting": b"<xml>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</xml>",
    "deep nesting that fits": b"<xml>" + b"<a>" * 9_000 + b"</a>" * 9_000 + b"</xml>",
    "many elements": b"<xml>" + b"<a/>" * 15_000 + b"</xml>",
    "duplicate element": b"<xml><FromUserName>a</FromUserName><FromUserName>b</FromUserName></xml>",
    "attributes": b'<xml xmlns="x"><A>1</A></xml>',
    "attribute flood": b"<xml><a " + b" ".join(b'a%d="1"' % n for n in range(5_000)) + b"/></xml>",
    "UTF-16": '<?xml version="1.0" encoding="UTF-16"?><xml><A>1</A></xml>'.encode("utf-16"),
    "UTF-7 declared": b'<?xml version="1.0" encoding="UTF-7"?><xml>+ADw-A+AD4-</xml>',
    "UTF-32": "<xml><A>1</A></xml>".encode("utf-32"),
    "invalid UTF-8": b"<xml><A>\xff\xfe</A></xml>",
    "NUL": b"<xml><A>\x00</A></xml>",
    "control character": b"<xml><A>\x08</A></xml>",
    "unclosed": b"<xml><A>1</A>",
    "two roots": b"<xml><A>1</A></xml><xml/>",
    "another root": b"<html><body>hi</body></html>",
    "text only": b"<xml>hello</xml>",
    "mixed": b"<xml>text<A>1</A></xml>",
    "empty root": b"<xml/>",
    "empty": b"",
    "white space": b"   \n",
    "5 MB": b"<xml><A>" + b"a" * 5_000_000 + b"</A></xml>",
    "JSON array": b"[1]",
    "JSON text": b'"x"',
    "JSON number": b"1e999999",
    "JSON NaN": b'{"a":NaN}',
    "JSON Infinity": b'{"a":-Infinity}',
    "JSON deep": b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "JSON deeper than allowed": b'{"a":' + b"[" * 20 + b"]" * 20 + b"}",
    "JSON too many": b'{"a":[' + b"1," * 20_000 + b"1]}",
    "JSON duplicate": b'{"FromUserName":"a","FromUserName":"b"}',
    "JSON NUL": b'{"a":"\\u0000"}',
    "JSON lone surrogate": b'{"a":"\\ud800"}',
    "JSON trailing": b'{"a":1} x',
    "JSON half": b'{"a":',
    "JSON UTF-16": '{"a":1}'.encode("utf-16"),
    "form": b"a=1&b=2",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_body_is_refused_quickly(name: str):
    started = time.process_time()

    with pytest.raises(WechatPushInvalid):
        read_body(HOSTILE[name])

    assert time.process_time() - started < 0.1


def test_a_lying_declaration_changes_nothing():
    body = '<?xml version="1.0" encoding="GBK"?><xml><A>中文</A></xml>'.encode()

    assert read_body(body) == {"A": "中文"}


def test_cdata_and_escapes_are_texts():
    assert read_body(b"<xml><A><![CDATA[<b>&amp;</b>]]></A><B>&lt;&#65;</B></xml>") == {"A": "<b>&amp;</b>", "B": "<A"}


def test_numbers_of_json_are_texts_of_any_size():
    assert read_body(b'{"a":1234567890123456789012345678901234567890,"b":1.10,"c":true,"d":null}') == {
        "a": "1234567890123456789012345678901234567890",
        "b": "1.10",
        "c": "true",
        "d": "",
    }


@given(st.binary(max_size=400))
def test_no_bytes_escape_as_another_error(body: bytes):
    for each in (body, b"<xml>" + body + b"</xml>", b'{"a":"' + body + b'"}'):
        try:
            read_marked(each)
        except WechatPushInvalid:
            continue


@given(st.recursive(st.text(max_size=8) | st.integers() | st.none() | st.booleans(), lambda i: st.lists(i, max_size=4)))
def test_all_json_that_is_read_consists_of_texts_lists_and_groups(value: Any):
    def plain(part: Any) -> bool:
        if isinstance(part, dict):
            return all(plain(each) for each in part.values())
        return all(map(plain, part)) if isinstance(part, list) else isinstance(part, str)

    try:
        fields = read_body(json.dumps({"a": value}).encode())
    except WechatPushInvalid:
        return
    assert plain(fields)
