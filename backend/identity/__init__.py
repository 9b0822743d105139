"""Who is asking: residents, staff and agencies, and how each of them proves it."""

from __future__ import annotations

from backend.identity import (
    agencies,
    delegating,
    session_watch,
    signatures,
    staff,
    staff_signing_in,
    sweeping,
    timing,
    tokens,
)
from backend.identity.agencies import authenticate_agency as authenticate_agency
from backend.identity.delegating import DelegationDetail, Invitation, InvitationDetail, Scope
from backend.identity.devices import device_class
from backend.identity.duties import DUTIES, hall_duty, kiosk_duty
from backend.identity.followers import record_follow, record_unfollow
from backend.identity.keys import rotate_keys
from backend.identity.one_time_codes import code_at
from backend.identity.principals import AsAgency, AsOperator, AsResident, AsStaff
from backend.identity.refreshing import Tokens, refresh_session
from backend.identity.residents import (
    ResidentDetail,
    confirm_phone,
    disable_resident,
    enable_resident,
    erase_account,
    get_own_account,
    openid_of,
    phone_of,
    remove_phone,
)
from backend.identity.session_watch import announce_ended, clear_watch, get_key_set, watch_sessions
from backend.identity.signatures import sign_request
from backend.identity.signing_in import sign_in_resident
from backend.identity.signing_out import (
    SessionSummary,
    end_other_sessions,
    end_session,
    list_own_sessions,
    sign_out_resident,
)

__all__ = [
    "DUTIES",
    "AsAgency",
    "AsOperator",
    "AsResident",
    "AsStaff",
    "DelegationDetail",
    "Invitation",
    "InvitationDetail",
    "ResidentDetail",
    "Scope",
    "SessionSummary",
    "Tokens",
    "agencies",
    "announce_ended",
    "authenticate_agency",
    "clear_watch",
    "code_at",
    "confirm_phone",
    "delegating",
    "device_class",
    "disable_resident",
    "enable_resident",
    "end_other_sessions",
    "end_session",
    "erase_account",
    "get_key_set",
    "get_own_account",
    "hall_duty",
    "kiosk_duty",
    "list_own_sessions",
    "openid_of",
    "phone_of",
    "record_follow",
    "record_unfollow",
    "refresh_session",
    "remove_phone",
    "rotate_keys",
    "session_watch",
    "sign_in_resident",
    "sign_out_resident",
    "sign_request",
    "signatures",
    "staff",
    "staff_signing_in",
    "sweeping",
    "timing",
    "tokens",
    "watch_sessions",
]
