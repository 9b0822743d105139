"""What can go wrong with the catalogue."""

from __future__ import annotations

from typing import Self

from backend.errors import Conflict, Fault, Invalid, NotFound


class ItemCodeInvalid(Invalid):
    """A code, or a part of one, breaks the scheme in force."""

    title = "事项编码不正确"

    @classmethod
    def at(cls, pointer: str, message: str) -> Self:
        """The error, pointing to the part that is wrong."""
        return cls(fields=[Fault(pointer, message)])


class ItemNotFound(NotFound):
    """No such item, none that is published, or another department's: the answer is the same."""

    title = "没有找到这个事项"


class ItemVersionNotFound(NotFound):
    """The item has no version of that number."""

    title = "没有找到这个版本"


class ItemExists(Conflict):
    """The department already has an item with this basic code at this level."""

    title = "该编码的事项已经存在"


class ItemVersionTransitionRefused(Conflict):
    """The version cannot make this move from where it stands."""

    title = "该版本当前状态不能这样操作"


class ItemDraftEditConflict(Conflict):
    """Someone saved the draft after it was read; read it again and repeat the change."""

    title = "草稿已被他人修改，请刷新后重试"


class ItemDraftSuperseded(Conflict):
    """Another version was published since the draft was begun; its changes would be lost."""

    title = "草稿所依据的版本已被替换，请基于现行版本重新核对"


class GuideInvalid(Invalid):
    """The guide breaks the rules for publishing; `fields` point to every fault."""

    title = "办事指南不符合发布要求"
