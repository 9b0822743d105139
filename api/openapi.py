"""The OpenAPI 3.1 description: what Litestar knows of the handlers, completed by what holds for a whole door."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar

from api.problems import MEDIA_TYPE, Problem

VERSION = "1.0.0"
TITLE = "掌办 · 政务服务移动端接口"
DESCRIPTION = """\
一次登录，查办件、收通知、看指南。错误均为 RFC 9457 `application/problem+json`，代码目录见 `/v1/public/problems`。
金额单位为分，时间为带时区的 RFC 3339，期限以工作日计。

在本页试用：先调用 `POST /v1/public/sessions` 登录，再点右上方的 Authorize 填入返回的 `access_token`。
没有小程序时，登录凭证 code 由微信沙箱给出：`POST <沙箱地址>/sandbox/personas/李建国/login-code`。
"""

SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "/v1/resident": [{"resident": []}],
    "/v1/staff": [{"staff": []}],
    "/v1/agency": [{"agency": []}],
}
WITHOUT_TOKEN = frozenset({"signInStaff"})
"""operationIds behind a guarded door that need no token, because they give one."""
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
PARAMETERS = {
    "number": "办件编号、支付单号或退款单号；事项版本地址中为版本号",
    "session_id": "登录设备的标识",
    "message_id": "消息的标识",
    "hall_id": "大厅的标识",
    "line_id": "业务类别的标识",
    "slot_id": "时段的标识",
    "strike_id": "爽约记录的标识",
    "appointment_id": "预约的标识",
    "entry_id": "候补记录的标识",
    "fee_id": "费用的标识",
    "day": "日期，如 2026-10-01",
    "code": "事项编码",
    "signature": "微信签名：Token、timestamp、nonce 排序拼接后的 SHA-1",
    "msg_signature": "微信签名：另含密文，加密模式下使用",
    "timestamp": "微信给出的时间戳",
    "nonce": "微信给出的随机串",
    "echostr": "校验地址时原样返回的字符串",
    "encrypt_type": "加密方式：aes 或 raw",
}
"""What the parameters of addresses mean, where their handler does not say it."""
SUCCESS = {"200": "成功", "201": "已创建", "202": "已收下", "204": "成功，没有内容"}
TAGS = {
    "登录": "小程序登录、刷新令牌、令牌公钥",
    "我的": "居民自己的账号、手机号和登录设备",
    "亲友代办": "请他人为自己办理、接受邀请代他人办理、随时结束",
    "办件": "居民看办件：列表、时间线、办理期限，以及不登录查询",
    "预约": "预约大厅：时段、预约、改约、取消、候补、摇号、爽约记录",
    "签到叫号": "签到码、排队号、实时叫号屏、窗口叫号、自助机",
    "缴费": "我的费用、发起支付、支付进度（我的钱在哪里）",
    "缴费收据": "下载缴费收据，核验收据真伪",
    "寄送": "地址、领取方式、我的寄送与物流时间线、确认收到、反映问题、寄送材料",
    "消息": "站内信、送达记录、订阅授权",
    "事项": "事项目录、办事指南与搜索",
    "公共": "行政区划、部门、大厅、状态机与错误目录",
    "部门系统": "部门业务系统核对自己的签名",
    "部门推送办件": "部门业务系统推送办件与办理事件，请求须签名",
    "工作人员": "工作人员登录",
    "大厅号源": "大厅工作人员：业务类别、窗口、时段、当日名单、爽约申诉",
    "事项管理": "编写、检查、发布、撤回事项版本",
    "收费": "本部门的费用、支付、退款申请与复核",
    "寄送管理": "待寄出、批量下单、面单、窗口交付、寄送问题、领取点",
    "对账": "每日对账结果、对账差异的认领与处理",
    "工作日历": "设定工作日、节假日和调休",
    "合作方回调": "微信等合作方推送到这里，各自验签",
    "运行": "存活、就绪、指标与本描述",
}
"""The chapters of the description, in the order in which people need them."""
LINKS: dict[str, dict[str, dict[str, Any]]] = {}
"""operationId → links of its success answer; the files of the doors add theirs next to their handlers."""
_METHODS = ("get", "put", "post", "patch", "delete", "head")


@lru_cache(maxsize=1)
def examples() -> dict[str, dict[str, Any]]:
    """operationId → `request`, `response`: real-looking bodies, from `api/examples/`, which mirrors `api/`.

    `body` is the whole request body of a handler that reads bytes. Raises ValueError for an operation in two files.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((Path(__file__).parent / "examples").rglob("*.json")):
        more = msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]])
        if twice := found.keys() & more.keys():
            raise ValueError(f"{path.name} repeats the examples of {sorted(twice)}")
        found |= more
    return found


def _complete(path: str, operation: dict[str, Any]) -> None:
    name = operation.get("operationId", "")
    example = examples().get(name, {})
    if "body" in example:  # a handler that reads bytes, because a signature is over them, declares no body
        operation["requestBody"] = example["body"]
    for door, security in SECURITY.items():
        if path.startswith(door) and "security" not in operation and name not in WITHOUT_TOKEN:
            operation["security"] = security
    for parameter in operation.get("parameters", ()):
        parameter.setdefault("description", PARAMETERS.get(parameter["name"], parameter["name"]))
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
        answers.setdefault(status, {"description": COMMON[status]})
    for status, described in answers.items():
        # What Litestar writes of itself about faults is not what `api.problems` answers.
        if status >= "4" and MEDIA_TYPE not in described.get("content", {}):
            described["description"] = COMMON.get(status, described["description"])
            described["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if "request" in example and "requestBody" in operation:
        for content in operation["requestBody"]["content"].values():
            content["example"] = example["request"]
    for status, described in answers.items():
        if status.startswith("2"):
            described["description"] = SUCCESS.get(status, described["description"])
            if name in LINKS:
                described["links"] = LINKS[name]
            if "response" in example:
                for content in described.get("content", {}).values():
                    content["example"] = example["response"]


def _strict(app: Litestar) -> set[str]:
    """Names of the request structs that refuse undeclared fields."""
    bodies = [
        handler.parsed_data_field.annotation
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.parsed_data_field is not None
    ]
    found: set[str] = set()
    queue: list[Any] = [*msgspec.inspect.multi_type_info(bodies)]
    while queue:
        kind = queue.pop()
        if isinstance(kind, msgspec.inspect.StructType):
            if kind.cls.__name__ in found or not kind.forbid_unknown_fields:
                continue
            found.add(kind.cls.__name__)
            queue += [each.type for each in kind.fields]
        else:
            inside = [getattr(kind, name, None) for name in ("item_type", "value_type", "type")]
            queue += [each for each in (*inside, *getattr(kind, "types", ())) if each is not None]
    return found


def _repair(node: Any) -> None:
    """Take out the empty alternative that Litestar gives the items of an annotated list: it would allow anything, and
    so forbid what is right, because of several alternatives exactly one must fit."""
    if isinstance(node, dict):
        alternatives = node.get("oneOf")
        if isinstance(alternatives, list) and {} in alternatives:
            node["oneOf"] = rest = [each for each in alternatives if each]
            if len(rest) == 1:
                del node["oneOf"]
                node.update(rest[0])
        for each in node.values():
            _repair(each)
    elif isinstance(node, list):
        for each in node:
            _repair(each)


def _place(path: str, item: dict[str, Any]) -> tuple[int, bool, str]:
    """Where an address stands: by its chapter, lists before what is in them, what is for programs only at the end."""
    tags = [tag for method in _METHODS for tag in item.get(method, {}).get("tags", ())]
    chapters = list(TAGS)
    return (chapters.index(tags[0]) if tags and tags[0] in TAGS else len(chapters)), "jwks" in path, path


@lru_cache(maxsize=4)
def describe(app: Litestar) -> bytes:
    """The description as JSON bytes. `links` say which answer feeds which request."""
    schema = app.openapi_schema.to_schema()
    components = schema.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    _, described = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    components.setdefault("schemas", {}).update(described)
    strict = _strict(app)
    for each in components["schemas"].values():
        if each.get("title") in strict:
            each["additionalProperties"] = False
    for path, item in schema["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(path, item[method])
    _repair(schema)
    if described_here := schema["paths"].get("/openapi.json"):
        described_here["get"]["responses"]["200"]["content"]["application/json"]["schema"] = {"type": "object"}
    schema["tags"] = [{"name": name, "description": what} for name, what in TAGS.items()]
    schema["paths"] = dict(sorted(schema["paths"].items(), key=lambda entry: _place(*entry)))
    return msgspec.json.format(msgspec.json.encode(schema, enc_hook=str), indent=1)
