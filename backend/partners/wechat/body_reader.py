"""Reading the bodies that WeChat pushes, XML or JSON, into one plain shape, and refusing everything hostile."""

from __future__ import annotations

from typing import Any

from backend.partners.bodies import Bounds, Unreadable, json_object, text_of, xml_fields
from backend.partners.wechat.errors import WechatPushInvalid

LARGEST = 65_536
"""Bytes of a body; WeChat's own are a few hundred."""
BOUNDS = Bounds(largest=LARGEST, deepest=16, most=2_000)
REPEATED = frozenset({"Actions"})
"""Elements that WeChat repeats without one around them: the nodes of `add_express_path`."""


def read_body(body: bytes) -> dict[str, Any]:
    """The fields of the body: texts as `str`, groups as `dict`, repeated groups as `list`; numbers become
    text.

    Raises WechatPushInvalid.
    """
    return read_marked(body)[0]


def read_marked(body: bytes) -> tuple[dict[str, Any], str]:
    """The fields, and whether they came as `xml` or `json`. Raises WechatPushInvalid."""
    try:
        text = text_of(body, BOUNDS)
        if text.lstrip().startswith("<"):
            return xml_fields(text, BOUNDS, root="xml", repeated=REPEATED), "xml"
        return json_object(text, BOUNDS), "json"
    except Unreadable as error:
        raise WechatPushInvalid(str(error)) from None
