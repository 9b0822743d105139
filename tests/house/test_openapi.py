"""The description is the whole API, in Chinese for people and in order for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar

from api.openapi import TAGS
from tests.callers import description
from tests.house.test_doors import routes

HIDDEN = {
    "GET /docs",
    "GET /docs/files/{file_path}",
    "GET /openapi",
    "GET /openapi/openapi.json",
    "GET /openapi/{path}",
}
"""The page that shows the description, and the framework's own addresses of it."""


@pytest.fixture
def described(app: Litestar) -> dict[str, Any]:
    return description(app)


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in described["paths"].items():
        for method, operation in item.items():
            if method in {"get", "put", "post", "patch", "delete"}:
                yield f"{method.upper()} {path}", operation


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


def test_no_address_is_outside_the_description(app: Litestar, described: dict[str, Any]):
    assert {key for key, _ in operations(described)} == {key for key, _ in routes(app)} - HIDDEN


def test_every_operation_has_a_chinese_summary_an_english_id_and_a_chapter(described: dict[str, Any]):
    ids = []
    for key, operation in operations(described):
        assert is_chinese(operation["summary"]), key
        assert re.fullmatch(r"[a-z][A-Za-z0-9]+", operation["operationId"]), key
        assert set(operation["tags"]) <= TAGS.keys(), key
        assert operation["tags"], key
        ids.append(operation["operationId"])

    assert len(ids) == len(set(ids))


def test_every_operation_says_how_it_can_fail(described: dict[str, Any]):
    for key, operation in operations(described):
        statuses = set(operation["responses"])
        assert {"429", "500", "503"} <= statuses, key
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= statuses, key
        if operation.get("security"):
            assert {"401", "403"} <= statuses, key
        for status, answer in operation["responses"].items():
            if status[0] in "45":
                assert set(answer["content"]) == {"application/problem+json"}, f"{key} {status}"


def test_every_guarded_address_says_what_opens_it(described: dict[str, Any]):
    schemes = described["components"]["securitySchemes"]
    for key, operation in operations(described):
        door = re.match(r"\w+ /v1/(resident|staff|agency)/", key)
        if door and operation["operationId"] != "signInStaff":
            assert operation["security"] == [{door[1]: []}], key
            assert door[1] in schemes


def test_links_lead_to_operations_and_parameters_that_exist(described: dict[str, Any]):
    by_id = {operation["operationId"]: operation for _, operation in operations(described)}
    links = [
        link
        for operation in by_id.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]

    assert len(links) >= 5
    for link in links:
        target = by_id[link["operationId"]]
        names = {parameter["name"] for parameter in target.get("parameters", [])}
        assert {name.rpartition(".")[2] for name in link.get("parameters", {})} <= names, link


def test_every_parameter_says_what_it_means(described: dict[str, Any]):
    for key, operation in operations(described):
        for parameter in operation.get("parameters", []):
            assert is_chinese(parameter.get("description", "")), f"{key} {parameter['name']}"


def test_requests_refuse_undeclared_fields(described: dict[str, Any]):
    schemas = described["components"]["schemas"]

    def reachable(schema: Any, seen: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(schema, dict):
            ref = schema.get("$ref", "")
            name = ref.rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                yield name, schemas[name]
                yield from reachable(schemas[name], seen)
            for value in schema.values():
                yield from reachable(value, seen)
        elif isinstance(schema, list):
            for value in schema:
                yield from reachable(value, seen)

    seen: set[str] = set()
    for key, operation in operations(described):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for name, schema in reachable(content["schema"], seen):
                if schema.get("type") == "object" and "properties" in schema:
                    assert schema.get("additionalProperties") is False, f"{key}: {name}"


def test_field_names_are_written_in_one_way(described: dict[str, Any]):
    for name, schema in described["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert re.fullmatch(r"[a-z][a-z0-9_]*", field), f"{name}.{field}"
