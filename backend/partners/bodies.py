"""Reading bodies that strangers send (forms, JSON, XML) into plain texts and groups, and refusing what is hostile.

All of them are read with a bound on size, depth and number of values before anything is built from them. XML is read
with the bare expat parser: a DTD, an entity declaration or a processing instruction ends it at once, so there is
nothing that could be expanded or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus
from xml.parsers import expat

from msgspec import Struct

from backend import clock, strict_json

_TIME = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.\d{1,9})?)?", re.ASCII)
_EARLIEST, _LATEST = 2000, 2100
"""Years; a time of another is a mistake, and some cannot be stored."""


class Unreadable(ValueError):
    """The body has not the expected form. The text gives the reason, for the log, and holds nothing of the body."""


class Bounds(Struct, frozen=True, kw_only=True):
    """How much of a body is read at all."""

    largest: int
    """Bytes."""
    deepest: int = 16
    most: int
    """Elements, attributes or JSON values."""
    fields: int = 32
    """Fields of a form."""


def text_of(body: bytes, bounds: Bounds) -> str:
    """The body as text. Raises Unreadable when it is too large or not UTF-8."""
    if len(body) > bounds.largest:
        raise Unreadable("too large")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None


# -- forms -----------------------------------------------------------------------------------------


def form_fields(body: bytes, bounds: Bounds) -> dict[str, str]:
    """The fields of an application/x-www-form-urlencoded body, decoded once. Raises Unreadable."""
    text = text_of(body, bounds)
    if text.count("&") >= bounds.fields:
        raise Unreadable("too many fields")
    fields: dict[str, str] = {}
    for part in text.split("&"):
        if not part:
            continue
        name, equals, value = part.partition("=")
        if not equals:
            raise Unreadable("not a form")
        try:
            name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        except UnicodeDecodeError:
            raise Unreadable("not UTF-8") from None
        # Of two equal names one reader takes the first and another the last: no honest sender repeats a field.
        if name in fields:
            raise Unreadable("a field twice")
        if "\x00" in value:
            raise Unreadable("a character that cannot be stored")
        fields[name] = value
    return fields


# -- JSON ------------------------------------------------------------------------------------------


def json_object(text: str, bounds: Bounds) -> dict[str, Any]:
    """A JSON object: texts as `str`, groups as `dict`, lists as `list`; numbers become text, null the empty text.

    Raises Unreadable.
    """
    value = _json(text, bounds)
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    return value


def json_list(text: str, bounds: Bounds) -> list[Any]:
    """A JSON list, read like an object. Raises Unreadable."""
    value = _json(text, bounds)
    if not isinstance(value, list):
        raise Unreadable("not a list")
    return value


def _json(text: str, bounds: Bounds) -> Any:
    try:
        value = strict_json.decode(text, number=str)
    except strict_json.StrictJsonInvalid as error:
        raise Unreadable(str(error)) from None
    return _plain(value, bounds, 0, [0])


def _plain(value: Any, bounds: Bounds, depth: int, seen: list[int]) -> Any:
    seen[0] += 1
    if depth > bounds.deepest or seen[0] > bounds.most:
        raise Unreadable("too deep or too many")
    if isinstance(value, dict):
        return {_storable(name): _plain(each, bounds, depth + 1, seen) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, bounds, depth + 1, seen) for each in value]
    if value is None:
        return ""
    return _storable(("true" if value else "false") if isinstance(value, bool) else str(value))


def _storable(text: str) -> str:
    try:
        text.encode()  # a lone surrogate has no bytes
    except UnicodeEncodeError:
        raise Unreadable("a character that cannot be stored") from None
    if "\x00" in text:
        raise Unreadable("a character that cannot be stored")
    return text


# -- XML -------------------------------------------------------------------------------------------


def xml_fields(
    text: str, bounds: Bounds, *, root: str, attributes: bool = False, repeated: Collection[str] = ()
) -> dict[str, Any]:
    """What the element `root` holds: texts as `str`, groups as `dict`, repeated elements as `list`.

    Attributes are refused, or with `attributes` read like elements. Directly below the root a repeated name is a
    forgery, unless it is one of `repeated`. Raises Unreadable.
    """
    return _Xml(bounds, root, attributes, frozenset(repeated)).read(text)


class _Group:
    """An element that is being read."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.children: dict[str, list[Any]] = {}

    def value(self) -> Any:
        """Its text, or its children."""
        text = "".join(self.text)
        if not self.children:
            return text
        if text.strip():
            raise Unreadable("text between elements")
        return {name: values[0] if len(values) == 1 else values for name, values in self.children.items()}


class _Xml:
    """One reading of one document."""

    def __init__(self, bounds: Bounds, root: str, attributes: bool, repeated: frozenset[str]) -> None:
        self._bounds = bounds
        self._root_name = root
        self._attributes = attributes
        self._repeated = repeated
        self._open: list[_Group] = []
        self._count = 0
        self._root: Any = None

    def read(self, text: str) -> dict[str, Any]:
        # The bytes are UTF-8 by our own check, so a false declaration changes nothing.
        parser = expat.ParserCreate(encoding="utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        try:
            parser.Parse(text.strip().encode(), True)
        except (expat.ExpatError, UnicodeEncodeError):
            raise Unreadable("not XML") from None
        if not isinstance(self._root, dict):
            raise Unreadable(f"not an <{self._root_name}> element")
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1 + len(attributes)
        refused = attributes and not self._attributes
        if refused or len(self._open) > self._bounds.deepest or self._count > self._bounds.most:
            raise Unreadable("too deep, too many, or with attributes")
        if not self._open and name != self._root_name:
            raise Unreadable(f"not an <{self._root_name}> element")
        group = _Group()
        group.children.update((each, [value]) for each, value in attributes.items())
        self._open.append(group)

    def _end(self, name: str) -> None:
        value = self._open.pop().value()
        if not self._open:
            self._root = value
            return
        siblings = self._open[-1].children.setdefault(name, [])
        if siblings and len(self._open) == 1 and name not in self._repeated:
            raise Unreadable("an element twice")
        siblings.append(value)

    def _data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def _refuse(self, *_: Any) -> None:
        raise Unreadable("a DTD, an entity or a processing instruction")


# -- times -----------------------------------------------------------------------------------------


def at(value: str) -> datetime:
    """A time of the wall clock without a zone, which is Shanghai's, as UTC. Raises Unreadable."""
    found = _TIME.fullmatch(value)
    if found is None or not _EARLIEST <= int(found[1]) < _LATEST:
        raise Unreadable("no time")
    parts = [int(each or 0) for each in found.groups()]
    try:
        moment = datetime(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], tzinfo=clock.SHANGHAI)
    except ValueError:
        raise Unreadable("no time") from None
    return moment.astimezone(UTC)
