"""The OpenAPI description is whole: examples for everything, examples that are true, links that lead somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from api.app import build
from api.openapi import LINKS, TAGS, describe, examples

DESCRIBED: dict[str, Any] = json.loads(describe(build()))
METHODS = ("get", "put", "post", "patch", "delete")
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: {**operation, "path": path}
    for path, item in DESCRIBED["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that is sent or answered with success: its name and its media type object."""
    for name, operation in OPERATIONS.items():
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{name} request {kind}", content
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                for kind, content in answer.get("content", {}).items():
                    yield f"{name} {status} {kind}", content


@pytest.mark.parametrize(("name", "content"), [pytest.param(*each, id=each[0]) for each in bodies()])
def test_every_body_has_an_example_that_its_schema_allows(name: str, content: dict[str, Any]):
    shown = [content["example"]] if "example" in content else [each["value"] for each in content["examples"].values()]

    assert shown
    if "json" in name:
        schema = {**content["schema"], "components": DESCRIBED["components"]}
        for example in shown:
            jsonschema_rs.validate(schema, example)


def test_every_operation_has_a_chinese_summary_an_english_name_and_a_known_chapter():
    for name, operation in OPERATIONS.items():
        assert re.search("[\u4e00-\u9fff]", operation["summary"]), name
        assert re.fullmatch("[a-z][A-Za-z]+", name)
        assert set(operation["tags"]) <= TAGS.keys(), name


def test_every_chapter_has_an_operation():
    assert {tag for operation in OPERATIONS.values() for tag in operation["tags"]} == TAGS.keys()


def test_every_link_fills_parameters_that_its_target_has():
    for source, links in LINKS.items():
        for link in links.values():
            target = OPERATIONS[link["operationId"]]
            known = {each["name"] for each in target.get("parameters", ())}
            assert link.get("parameters", {}).keys() <= known, source
            assert "requestBody" not in link or "requestBody" in target, source


def test_everything_that_is_addressed_by_an_id_is_reached_by_a_link():
    reached = {link["operationId"] for links in LINKS.values() for link in links.values()}

    # Partners get their address once, when they are set up.
    ours = {name: operation["path"] for name, operation in OPERATIONS.items() if "/callbacks/" not in operation["path"]}
    addressed = {name for name, path in ours.items() if "{" in path}

    assert addressed <= reached


def test_examples_and_links_belong_to_operations():
    assert examples().keys() | LINKS.keys() <= OPERATIONS.keys()
