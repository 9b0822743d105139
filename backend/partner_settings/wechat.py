"""WeChat: the mini-program and the official account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class WeChatSettings:
    """The settings of WeChat."""

    # -- WeChat -----------------------------------------------------------------------------------
    wechat_api_base: str = "https://api.weixin.qq.com"
    """Address of WeChat's API; the sandbox's in development."""
    wechat_appid: str = ""
    """The mini-program."""
    wechat_secret: str = ""
    """AppSecret of the mini-program."""
    wechat_oa_appid: str = ""
    """The official account that sends template messages; empty switches that channel off."""
    wechat_oa_secret: str = ""
    """AppSecret of the official account."""
    wechat_push_token: str = ""
    """Token of the mini-program's message push; empty means that it pushes nothing."""
    wechat_push_aes_key: str = ""
    """EncodingAESKey of the mini-program's message push, 43 characters."""
    wechat_push_mode: Literal["plain", "compat", "safe"] = "safe"
    """How both accounts push; `plain` accepts bodies that nothing signs."""
    wechat_oa_push_token: str = ""
    """Token of the official account's message push; empty means that it pushes nothing."""
    wechat_oa_push_aes_key: str = ""
    """EncodingAESKey of the official account's message push."""
    wechat_miniprogram_state: Literal["formal", "trial", "developer"] = "formal"
    """Which version of the mini-program a message opens."""


SANDBOX_VALUES: dict[str, str] = {
    "wechat_appid": "wx5a68616e6762616e",
    "wechat_secret": "sandbox-mini-program-secret",
    "wechat_push_token": "sandboxMiniToken",
    "wechat_push_aes_key": "c2FuZGJveE1pbmlQcm9ncmFtRW5jb2RpbmdBRVNLZXk",
    "wechat_oa_appid": "wx6f6666696369616c",
    "wechat_oa_secret": "sandbox-official-account-secret",
    "wechat_oa_push_token": "sandboxOfficialToken",
    "wechat_oa_push_aes_key": "c2FuZGJveE9mZmljaWFsQWNjb3VudEVuY29kQUVTS2U",
}
"""What the simulator expects where the settings are empty. Public, so production refuses those that are secret."""
HARMLESS = frozenset({"wechat_appid", "wechat_oa_appid"})
"""Those that prove nothing: an installation may have the same."""
