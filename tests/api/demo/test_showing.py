"""What the demo prints lines up, and what it keeps is what it printed."""

from __future__ import annotations

import io
import json
from pathlib import Path

from api.demo.showing import Received, Timeline, pad, width


def a_message(**changes: object) -> Received:
    given = {"at": 1.0, "ms": 84.0, "who": "王秀英", "case": "SFZ-1", "event": "受理", "channel": "mini_program"}
    return Received(**{**given, "template": "办件进度通知", "values": {"phrase3": "已受理"}, **changes})  # type: ignore[arg-type]


def test_chinese_letters_take_two_columns():
    assert width("王a") == 3
    assert [width(pad(text, 10)) for text in ("王秀英", "abc", "")] == [10, 10, 10]
    assert pad("太长的一个名字", 4).endswith(" ")


def test_steps_and_messages_are_printed_and_kept():
    out = io.StringIO()
    timeline = Timeline(chaos=False, out=out)

    timeline.step("公安", "王秀英：受理", "已受理", 12.4, case="SFZ-1")
    timeline.received(a_message())
    timeline.received(a_message(channel="sms", copies=2))

    printed = out.getvalue().splitlines()
    assert "公安" in printed[0]
    assert printed[0].endswith("已受理  12 ms")
    assert "订阅消息 → 王秀英「办件进度通知」：已受理" in printed[1]
    assert "短信 → 王秀英 ×2" in printed[2]
    assert [each.facts for each in timeline.record.steps] == [{"case": "SFZ-1"}]
    assert "\x1b" not in out.getvalue()


def test_one_thing_that_is_not_as_it_must_be_spoils_the_end():
    timeline = Timeline(chaos=False, out=io.StringIO())
    timeline.check("好", True, "")
    timeline.check("坏", False, "")

    assert timeline.end() is False
    assert timeline.record.ok is False


def test_a_story_without_any_check_does_not_end_well():
    assert Timeline(chaos=False, out=io.StringIO()).end() is False


def test_what_is_written_can_be_read_as_json(tmp_path: Path):
    timeline = Timeline(chaos=True, out=io.StringIO())
    timeline.fault("Redis 被清空")
    timeline.check("好", True, "")
    timeline.end()

    timeline.write(str(tmp_path / "demo.json"))

    kept = json.loads((tmp_path / "demo.json").read_text())
    assert (kept["chaos"], kept["ok"], kept["faults"]) == (True, True, ["Redis 被清空"])
