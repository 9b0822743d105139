"""Advisory locks: a change of a case locks its number, linking residents and cases locks the phone number.

The locks end with the transaction. They cover what a row lock cannot: an event may come before its case, and a case
may come in while its applicant is just confirming their phone. Order: reference, then number, then phone.
"""

from __future__ import annotations

from uuid import UUID

from backend.database import execute

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


async def lock_reference(agency_id: UUID, reference: str) -> None:
    """Be the only one who opens a case under this reference of the agency."""
    await execute(_LOCK, f"case-reference {agency_id} {reference}")


async def lock_number(number: str) -> None:
    """Be the only one who changes the case with this number, whether it exists or not."""
    await execute(_LOCK, f"case-number {number}")


async def lock_phone(fingerprint: str) -> None:
    """Be the only one who decides who sees the cases of this phone number."""
    await execute(_LOCK, f"case-phone {fingerprint}")
