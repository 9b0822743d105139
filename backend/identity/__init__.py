"""Who is asking: residents, staff and agencies, and how each of them proves it."""

from __future__ import annotations

from backend.identity import agencies, delegating, staff, sweeping
from backend.identity.agencies import authenticate as authenticate_agency
from backend.identity.duties import DUTIES
from backend.identity.following import follow, unfollow
from backend.identity.keys import rotate_keys
from backend.identity.principals import AsAgency, AsOperator, AsResident, AsStaff
from backend.identity.refreshing import Tokens, refresh
from backend.identity.residents import (
    Me,
    confirm_phone,
    disable,
    enable,
    forget_account,
    me,
    openid_of,
    phone_of,
    remove_phone,
)
from backend.identity.signatures import sign_request
from backend.identity.signing_in import sign_in
from backend.identity.signing_out import SessionSeen, end_other_sessions, end_session, sessions_of, sign_out
from backend.identity.watching import announce, forget, key_set, watch

__all__ = [
    "DUTIES",
    "AsAgency",
    "AsOperator",
    "AsResident",
    "AsStaff",
    "Me",
    "SessionSeen",
    "Tokens",
    "agencies",
    "announce",
    "authenticate_agency",
    "confirm_phone",
    "delegating",
    "disable",
    "enable",
    "end_other_sessions",
    "end_session",
    "follow",
    "forget",
    "forget_account",
    "key_set",
    "me",
    "openid_of",
    "phone_of",
    "refresh",
    "remove_phone",
    "rotate_keys",
    "sessions_of",
    "sign_in",
    "sign_out",
    "sign_request",
    "staff",
    "sweeping",
    "unfollow",
    "watch",
]
