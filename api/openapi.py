"""The OpenAPI 3.1 description: what Litestar knows of the handlers, completed by what holds for a whole door."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from litestar import Litestar

from api.problems import MEDIA_TYPE, Problem

VERSION = "1.0.0"
TITLE = "掌办 · 政务服务移动端接口"
DESCRIPTION = """\
一次登录，查办件、收通知、看指南。错误均为 RFC 9457 `application/problem+json`，代码目录见 `/v1/public/problems`。
金额单位为分，时间为带时区的 RFC 3339，期限以工作日计。
"""

SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "/v1/resident": [{"resident": []}],
    "/v1/staff": [{"staff": []}],
    "/v1/agency": [{"agency": []}],
}
SCHEMES: dict[str, Any] = {
    "resident": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "居民访问令牌"},
    "staff": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "工作人员访问令牌"},
    "agency": {
        "type": "apiKey",
        "in": "header",
        "name": "Zhangban-Signature",
        "description": "请求签名，另需 Zhangban-Key、Zhangban-Timestamp、Zhangban-Nonce，见 docs/agency-signing.md",
    },
}
COMMON = {
    "400": "请求格式有误",
    "401": "请先登录",
    "403": "没有权限",
    "404": "没有找到",
    "413": "内容过大",
    "415": "内容类型不支持",
    "422": "内容有误",
    "429": "过于频繁，见 Retry-After",
    "500": "服务出现问题",
    "503": "暂时不可用，见 Retry-After",
}
LINKS: dict[str, dict[str, dict[str, Any]]] = {}
"""operationId → links of its success answer; the files of the doors add theirs next to their handlers."""
EXAMPLES: dict[str, dict[str, Any]] = {}
"""operationId → {"request": …, "response": …}: real-looking bodies for the documentation."""


def _complete(path: str, operation: dict[str, Any]) -> None:
    name = operation.get("operationId", "")
    for door, security in SECURITY.items():
        if path.startswith(door) and "security" not in operation:
            operation["security"] = security
    answers = operation.setdefault("responses", {})
    wanted = (
        ["400", "413", "415", "422"]
        if "requestBody" in operation
        else ["400", "422"]
        if operation.get("parameters")
        else []
    )
    if "security" in operation:
        wanted += ["401", "403"]
    if "{" in path:
        wanted.append("404")
    for status in (*wanted, "429", "500", "503"):
        answers.setdefault(
            status,
            {
                "description": COMMON[status],
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
    example = EXAMPLES.get(name, {})
    if "request" in example and "requestBody" in operation:
        for content in operation["requestBody"]["content"].values():
            content["example"] = example["request"]
    for status, described in answers.items():
        if status.startswith("2"):
            if name in LINKS:
                described["links"] = LINKS[name]
            if "response" in example:
                for content in described.get("content", {}).values():
                    content["example"] = example["response"]


@lru_cache(maxsize=4)
def describe(app: Litestar) -> bytes:
    """The description as JSON bytes. `links` say which answer feeds which request."""
    schema = app.openapi_schema.to_schema()
    components = schema.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    _, described = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    components.setdefault("schemas", {}).update(described)
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method in {"get", "put", "post", "patch", "delete", "head"}:
                _complete(path, operation)
    return msgspec.json.format(msgspec.json.encode(schema, enc_hook=str), indent=1)
