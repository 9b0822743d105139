"""Mini-program codes: what the poster in a hall opens, and what is printed for one appointment.

They never expire and anybody may scan them, so they open a page and prove nothing; checking in wants the code of the
phone. WeChat's unlimited codes carry at most 32 characters: an id in 22 of them, after a letter for its kind.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from backend.appointments import acting
from backend.appointments.duty import Runner, authorize_hall
from backend.appointments.errors import AppointmentNotFound
from backend.errors import raises
from backend.identity import AsResident
from backend.partners.wechat.port import CodeImage, WeChat, WechatPageNotFound
from backend.regions.errors import HallNotFound

HALL_PAGE = "pages/hall/queue"
APPOINTMENT_PAGE = "pages/appointment/detail"


def scene_of(kind: str, identity: UUID) -> str:
    """`h=` or `a=` and the id in 22 letters."""
    return f"{kind}={urlsafe_b64encode(identity.bytes).decode().rstrip('=')}"


def read_scene(scene: str) -> tuple[str, UUID]:
    """The kind and the id that a scene names. Raises ValueError for what we did not write."""
    kind, _, packed = scene.partition("=")
    if kind not in {"h", "a"} or len(packed) != 22:
        raise ValueError("no scene of ours")
    return kind, UUID(bytes=urlsafe_b64decode(packed + "=="))


@raises(HallNotFound, WechatPageNotFound)
async def hall_poster(staff: Runner, hall_id: UUID, *, wechat: WeChat, width: int = 860) -> CodeImage:
    """The mini-program code for the poster at a hall's entrance: it opens the hall's live queue.

    Raises what the partner's port raises when WeChat does not answer, too.
    """
    await authorize_hall(staff, hall_id)
    return await wechat.mini_program_code(scene_of("h", hall_id), page=HALL_PAGE, width=width)


@raises(AppointmentNotFound, WechatPageNotFound)
async def appointment_poster(resident: AsResident, appointment_id: UUID, *, wechat: WeChat) -> CodeImage:
    """The mini-program code that opens this appointment on the phone of a resident who may see it.

    Raises what `hall_poster` raises of WeChat, too.
    """
    if not await acting.may_read(resident, appointment_id):
        raise AppointmentNotFound
    return await wechat.mini_program_code(scene_of("a", appointment_id), page=APPOINTMENT_PAGE)
