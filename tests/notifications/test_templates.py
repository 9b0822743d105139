"""Every message can be sent: its values fit, its templates exist, and nothing personal is in it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from backend.settings import using
from notifications import templates, wording
from notifications.templates import LONGEST, ChannelContent, Inbox, Template, TemplateError, faults_of, messages


def a_template(**changes: object) -> Template:
    given: dict[str, object] = {
        "context": ("item", "at"),
        "page": "pages/case/detail",
        "inbox": Inbox("已受理：{item}", "您好，「{item}」已于{at}受理。"),
        "mini_program": ChannelContent("case-progress", {"thing1": "{item}", "time2": "{at}"}),
    }
    return Template(**{**given, **changes})  # type: ignore[arg-type]


def test_every_message_of_the_house_can_be_sent():
    templates.check_all()

    assert len(messages()) >= 20


@pytest.mark.parametrize("name", sorted(messages()))
def test_the_longest_values_still_fit_and_name_no_person(name: str):
    template = messages()[name]
    texts = [wording.fill(text, {**LONGEST, "message": "x"}) for text in template.texts()]

    assert all(wording.without_people(each) == each for each in texts)
    assert not [word for each in texts for word in ("身份证号", "手机号码：", "原因：") if word in each]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"context": ("item",)}, "differ in 'at'"),
        ({"context": ("item", "at", "due")}, "differ in 'due'"),
        ({"mini_program": ChannelContent("case-progress", {"phrase1": "已受理啦啦啦啦", "time2": "{at}"})}, "phrase1"),
        (
            {"mini_program": ChannelContent("case-progress", {"thing1": "这句话写得太长，微信一定不会接受它的呀呀呀"})},
            "thing1",
        ),
        ({"mini_program": ChannelContent("case-progress", {"time1": "{item}", "time2": "{at}"})}, "time1"),
        ({"mini_program": ChannelContent("case-progress", {"word1": "{item}"})}, "word1"),
        ({"inbox": Inbox("已受理：" * 20, "{item}{at}")}, "title"),
        ({"inbox": Inbox("已受理", "{item}{at}" * 60)}, "body"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused_at_the_start(changes: dict[str, object], fault: str):
    assert any(fault in each for each in faults_of(a_template(**changes)))


def test_a_message_that_can_be_sent_has_no_fault():
    assert list(faults_of(a_template())) == []


def test_an_installation_brings_its_own_template_ids(tmp_path: Path):
    known = msgspec.to_builtins(templates.partner_templates())
    known["mini_program"]["case-progress"] |= {"id": "OURS", "kind": "long-term", "keys": {"thing1": "thing7"}}
    file = tmp_path / "ours.toml"
    file.write_bytes(_toml(known))

    with using(notification_templates=str(file)):
        templates.check_all()
        ours = templates.partner_templates().mini_program["case-progress"]

    assert (ours.id, ours.kind, ours.keys) == ("OURS", "long-term", {"thing1": "thing7"})


def test_a_list_of_templates_with_a_hole_is_refused(tmp_path: Path):
    known = msgspec.to_builtins(templates.partner_templates())
    del known["mini_program"]["case-result"]
    known["mini_program"]["account-notice"]["id"] = known["mini_program"]["case-progress"]["id"]
    file = tmp_path / "hole.toml"
    file.write_bytes(_toml(known))

    with using(notification_templates=str(file)), pytest.raises(TemplateError) as caught:
        templates.check_all()

    assert "case-result" in str(caught.value)
    assert "two mini-program templates with the id" in str(caught.value)


def test_a_file_that_is_not_there_is_named():
    with using(notification_templates="/nowhere/at/all.toml"), pytest.raises(TemplateError, match=r"all\.toml"):
        templates.partner_templates()


def _toml(known: dict[str, dict[str, dict[str, object]]]) -> bytes:
    lines = []
    for account, listed in known.items():
        for name, each in listed.items():
            lines.append(f"[{account}.{name}]")
            lines += [f'{key} = "{value}"' for key, value in each.items() if isinstance(value, str)]
            keys = ", ".join(f'{ours} = "{theirs}"' for ours, theirs in each["keys"].items())  # type: ignore[attr-defined]
            lines.append(f"keys = {{ {keys} }}")
    return "\n".join(lines).encode()
