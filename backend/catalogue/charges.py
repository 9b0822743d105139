"""What the guide in force says an item costs: nothing else may be asked for."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from backend.catalogue.guide import Basis, Guide
from backend.database import fetch_row

LONGEST_BASIS = 400

_GUIDE = """
SELECT v.id, v.guide::text AS guide FROM service_items i JOIN item_versions v ON v.item_id = i.id
WHERE i.code = $1 AND v.state = 'published'
"""


class PublishedCharge(Struct, frozen=True, kw_only=True):
    """One charge of a guide, as a fee remembers it."""

    version_id: UUID
    ref: str
    name: str
    unit_fen: int
    per: str
    basis: str
    """The rules that allow it, in words."""
    when: str
    """In which case it is charged; empty: always."""


async def list_charges(code: str) -> list[PublishedCharge]:
    """The charges of the item's guide in force, in its order; none when it is free or not published."""
    row = await fetch_row(_GUIDE, code.upper())
    if row is None:
        return []
    guide = msgspec.json.decode(row["guide"], type=Guide)
    if guide.fee is None or guide.fee.free:
        return []
    basis = {each.ref: _in_words(each) for each in guide.basis}
    return [
        PublishedCharge(
            version_id=row["id"],
            ref=charge.ref,
            name=charge.name[:120],
            unit_fen=charge.amount_fen,
            per=charge.per,
            basis="；".join(basis[ref] for ref in charge.basis if ref in basis)[:LONGEST_BASIS],
            when=charge.when.strip(),
        )
        for charge in guide.fee.charges
    ]


def _in_words(basis: Basis) -> str:
    number = f"（{basis.number}）" if basis.number else ""
    return f"《{basis.title.strip('《》')}》{number}{basis.article}"
