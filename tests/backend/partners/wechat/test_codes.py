"""Mini-program codes and the check of texts."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from qrcode.main import QRCode

from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.port import (
    PartnerUnreachable,
    WechatBusy,
    WechatPageNotFound,
    WechatQuotaSpent,
    WechatRecipientNotFound,
    WechatRefused,
    WechatSceneRefused,
    WechatUserNotRecent,
)
from backend.qr_images import png_code

CODE = "/wxa/getwxacodeunlimit"


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height, after every chunk's checksum has been found right."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place, seen = 8, []
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        kind, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert int.from_bytes(png[place + 8 + length : place + 12 + length], "big") == zlib.crc32(kind + data)
        seen.append((kind, data))
        place += 12 + length
    assert [kind for kind, _ in seen] == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", seen[0][1][:8])
    assert len(zlib.decompress(seen[1][1])) == height * (1 + -(-width // 8))
    return width, height


async def test_a_code_is_a_real_image(partners: Partners):
    image = await partners.wechat.mini_program_code("hall=1&slot=2", page="pages/checkin", width=500)

    assert image.content_type == "image/png"
    width, height = size_of(image.content)
    assert width == height
    assert 400 < width <= 500


def test_every_cell_of_the_code_is_drawn():
    code = QRCode(border=4)
    code.add_data("掌办")
    code.make(fit=True)
    matrix = code.get_matrix()
    png = png_code("掌办", 300)

    width, _ = size_of(png)
    raw = zlib.decompressobj().decompress(png[png.index(b"IDAT") + 4 :])
    stride, scale = 1 + -(-width // 8), width // len(matrix)

    def is_dark(row: int, column: int) -> bool:
        return not raw[row * stride + 1 + column // 8] >> (7 - column % 8) & 1

    middle, cells = scale // 2, range(len(matrix))
    drawn = [[is_dark(r * scale + middle, c * scale + middle) for c in cells] for r in cells]
    assert drawn == matrix


@pytest.mark.parametrize("scene", ["", "x" * 33, "中文", "a b", "a%20b", "a\nb"])
async def test_a_scene_that_wechat_would_refuse_is_not_sent(sandbox: Sandbox, partners: Partners, scene: str):
    with pytest.raises(WechatSceneRefused):
        await partners.wechat.mini_program_code(scene)

    assert sandbox.world.mini_program.tokens.asks == 0


@pytest.mark.parametrize("page", ["/pages/case", "pages/case?id=1"])
async def test_a_page_is_named_without_slash_and_query(partners: Partners, page: str):
    with pytest.raises(WechatPageNotFound):
        await partners.wechat.mini_program_code("a=1", page=page)


async def test_an_unpublished_page_needs_the_check_switched_off(sandbox: Sandbox, partners: Partners):
    sandbox.world.pages = {"pages/index"}

    with pytest.raises(WechatPageNotFound):
        await partners.wechat.mini_program_code("a=1", page="pages/new")
    assert await partners.wechat.mini_program_code("a=1", page="pages/new", check_page=False)


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [
        (40129, WechatSceneRefused),
        (40169, WechatSceneRefused),
        (41030, WechatPageNotFound),
        (45009, WechatQuotaSpent),
        (0, WechatBusy),
    ],
)
async def test_json_instead_of_an_image_is_read(sandbox: Sandbox, partners: Partners, errcode: int, kind: type[Any]):
    sandbox.world.faults.add(CODE, "errcode", number=errcode)

    with pytest.raises(kind):
        await partners.wechat.mini_program_code("a=1")


async def test_half_an_answer_is_no_image(sandbox: Sandbox, partners: Partners):
    sandbox.world.faults.add(CODE, "html")

    with pytest.raises(PartnerUnreachable):
        await partners.wechat.mini_program_code("a=1")


async def test_a_text_is_judged(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")
    sandbox.world.mint("login", someone)

    good = await partners.wechat.check_text(someone.openid, "请问几点开门？", scene="comment", title="咨询")
    bad = await partners.wechat.check_text(someone.openid, "这里有违禁词", scene="forum")

    assert (good.suggestion, good.label) == ("pass", 100)
    assert (bad.suggestion, bad.label) == ("risky", 20001)
    assert good.trace_id


async def test_a_text_of_a_resident_who_was_not_here_lately_is_not_judged(sandbox: Sandbox, partners: Partners):
    someone = sandbox.world.persona("陈静")
    sandbox.world.mint("login", someone)
    sandbox.world.advance(7201)
    sandbox.world.mini_program.tokens.kill()

    with pytest.raises(WechatUserNotRecent):
        await partners.wechat.check_text(someone.openid, "你好", scene="profile")
    with pytest.raises(WechatRecipientNotFound):
        await partners.wechat.check_text("oNobody", "你好", scene="profile")


@pytest.mark.parametrize("text", ["", "好" * 2501])
async def test_a_text_that_is_empty_or_too_long_is_not_sent(sandbox: Sandbox, partners: Partners, text: str):
    with pytest.raises(WechatRefused):
        await partners.wechat.check_text("o", text, scene="social")

    assert sandbox.world.mini_program.tokens.asks == 0
