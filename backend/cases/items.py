"""What the catalogue says about the item of a case, at the moment the case comes in."""

from __future__ import annotations

from msgspec import Struct

from backend.cases.errors import CaseInvalid
from backend.catalogue import parse_item_code
from backend.catalogue.errors import ItemCodeInvalid
from backend.crypto import normalised
from backend.database import fetch_row
from backend.errors import Fault

# The published version; failing that the one that was withdrawn last, under which the case may have been begun.
_ITEM = """
SELECT v.name, (v.guide->>'promised_days')::int AS promised_days
FROM service_items i JOIN item_versions v ON v.item_id = i.id
WHERE i.code = $1 AND v.state <> 'draft'
ORDER BY v.state = 'published' DESC, v.number DESC LIMIT 1
"""


class Item(Struct, frozen=True):
    """An item as a case remembers it. `known` is False when our catalogue has none of this code."""

    code: str
    name: str | None
    promised_days: int | None
    known: bool


async def get_item(code: str) -> Item:
    """The item of this code. One that we do not have is no reason to lose a case: it is taken as unknown.

    Raises CaseInvalid when the code is none by the scheme in force.
    """
    spelled = normalised(code)
    row = await fetch_row(_ITEM, spelled)
    if row is not None:
        return Item(spelled, row["name"], row["promised_days"], known=True)
    try:
        parse_item_code(spelled)
    except ItemCodeInvalid as error:
        message = error.fields[0].message if error.fields else "事项编码有误"
        raise CaseInvalid(fields=[Fault("/item_code", message)]) from error
    return Item(spelled, None, None, known=False)
