"""A receipt as PDF: one page that prints well, with its own font inside and a QR that leads to its verification.

The font is Noto Sans SC, cut to the characters of this receipt, so that the paper looks the same on every machine and
every phone; a character that it lacks falls back to STSong-Light, which the viewer has to provide. The same receipt
gives the same bytes.
"""

from __future__ import annotations

import io
import string
from collections.abc import Iterator
from itertools import chain
from threading import Lock

from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from backend.amounts import yuan
from backend.clock import SHANGHAI
from backend.payments import receipt_font
from backend.payments.receipts import ReceiptDetail

FONT, FALLBACK = "ZhangbanSans", "STSong-Light"
WIDTH, HEIGHT = 210 * mm, 148 * mm
"""A5, lying."""
LEFT, RIGHT = 16 * mm, WIDTH - 16 * mm
INK, FAINT, RED = (0.1, 0.1, 0.1), (0.45, 0.45, 0.45), (0.8, 0.1, 0.1)
MOST_LINES = 2
"""Of one field: eleven fields must fit on the page."""
NOTE = "本收据证明缴费已到账，不替代财政电子票据。扫描二维码或凭编号和校验码可核验真伪。"
FIXED = "缴费电子收据编号开具日期年月日校验码已作废…"
"""What the page itself writes around the rows and the note."""

_drawing = Lock()
"""reportlab keeps fonts by name for the whole process, and each receipt has a font of its own."""
_known: frozenset[int] = frozenset()
"""The characters of the font that is registered now."""


def render_pdf(receipt: ReceiptDetail) -> bytes:
    """The receipt as a PDF of one page."""
    with _drawing:
        _register(_characters(receipt))
        out = io.BytesIO()
        # invariant: neither the time nor a random id goes into the file.
        canvas = Canvas(out, pagesize=(WIDTH, HEIGHT), invariant=1, lang="zh-CN")
        canvas.setTitle(f"缴费电子收据 {receipt.number}")
        canvas.setSubject("缴费电子收据")
        canvas.setAuthor(receipt.department_name or "掌办")
        _head(canvas, receipt)
        _table(canvas, receipt)
        _qr(canvas, receipt.verify_url, RIGHT - 34 * mm, 26 * mm, 34 * mm)
        _foot(canvas, receipt)
        if not receipt.valid:
            _stamp(canvas)
        canvas.showPage()
        canvas.save()
    return out.getvalue()


def _characters(receipt: ReceiptDetail) -> frozenset[str]:
    """Every character that the receipt may show."""
    return frozenset("".join((FIXED, NOTE, string.printable, *chain.from_iterable(_rows(receipt)))))


def _register(characters: frozenset[str]) -> None:
    """Make a font of these characters the one that FONT names."""
    global _known
    font = TTFont(FONT, io.BytesIO(receipt_font.cut(characters)))
    pdfmetrics._fonts[FONT] = font  # `registerFont` keeps the first font of a name for good
    pdfmetrics.registerFont(UnicodeCIDFont(FALLBACK))
    _known = frozenset(font.face.charToGlyph)


def _head(canvas: Canvas, receipt: ReceiptDetail) -> None:
    canvas.setFillColorRGB(*INK)
    _text(canvas, WIDTH / 2 - _width("缴费电子收据", 20) / 2, HEIGHT - 20 * mm, "缴费电子收据", 20)
    canvas.setFillColorRGB(*FAINT)
    _text(canvas, LEFT, HEIGHT - 30 * mm, f"编号 {receipt.number}", 9)
    issued = f"开具日期 {receipt.issued_at.astimezone(SHANGHAI):%Y年%m月%d日}"
    _text(canvas, RIGHT - _width(issued, 9), HEIGHT - 30 * mm, issued, 9)
    canvas.setStrokeColorRGB(*FAINT)
    canvas.line(LEFT, HEIGHT - 33 * mm, RIGHT, HEIGHT - 33 * mm)


def _rows(receipt: ReceiptDetail) -> Iterator[tuple[str, str]]:
    yield "收费单位", receipt.department_name or "—"
    yield "收费项目", receipt.item_name
    yield "收费依据", receipt.basis or "—"
    yield "标准数量", f"{_yuan(receipt.unit_fen)} × {receipt.quantity}"
    yield "金额大写", receipt.amount_in_capitals
    yield "金额小写", _yuan(receipt.amount_fen)
    yield "支付方式", f"{receipt.channel_name}　{receipt.paid_at.astimezone(SHANGHAI):%Y年%m月%d日 %H:%M:%S}"
    yield "订单编号", receipt.payment_number
    yield "交易单号", receipt.transaction_id or "—"
    if receipt.fiscal.number:
        yield "财政票据", " ".join(filter(None, (receipt.fiscal.code, receipt.fiscal.number)))
    if receipt.refunded_fen:
        yield "已退金额", _yuan(receipt.refunded_fen)


def _table(canvas: Canvas, receipt: ReceiptDetail) -> None:
    y = HEIGHT - 41 * mm
    for label, value in _rows(receipt):
        canvas.setFillColorRGB(*FAINT)
        _text(canvas, LEFT, y, label, 10)
        canvas.setFillColorRGB(*INK)
        for line in _lines(value, RIGHT - 40 * mm - (LEFT + 24 * mm), 10):
            _text(canvas, LEFT + 24 * mm, y, line, 10)
            y -= 4.6 * mm
        y -= 1.8 * mm


def _foot(canvas: Canvas, receipt: ReceiptDetail) -> None:
    canvas.setStrokeColorRGB(*FAINT)
    canvas.line(LEFT, 17 * mm, RIGHT, 17 * mm)
    canvas.setFillColorRGB(*FAINT)
    _text(canvas, LEFT, 11 * mm, NOTE, 8)
    code = f"校验码 {receipt.verify_url.rpartition('code=')[2]}"
    _text(canvas, RIGHT - 17 * mm - _width(code, 7) / 2, 21 * mm, code, 7)


def _stamp(canvas: Canvas) -> None:
    """已作废, across the page, so that it cannot be taken for a valid receipt."""
    canvas.saveState()
    canvas.setFillColorRGB(*RED)
    canvas.setFillAlpha(0.35)
    canvas.translate(WIDTH / 2, HEIGHT / 2)
    canvas.rotate(24)
    _text(canvas, -_width("已作废", 72) / 2, -24, "已作废", 72)
    canvas.restoreState()


def _qr(canvas: Canvas, text: str, x: float, y: float, side: float) -> None:
    code = QRCode(border=4, error_correction=ERROR_CORRECT_M)
    code.add_data(text)
    code.make(fit=True)
    matrix = code.get_matrix()
    module = side / len(matrix)
    canvas.setFillColorRGB(0, 0, 0)
    for row, line in enumerate(matrix):
        for column, dark in enumerate(line):
            if dark:
                canvas.rect(x + column * module, y + side - (row + 1) * module, module, module, stroke=0, fill=1)


def _yuan(fen: int) -> str:
    return f"¥{yuan(fen, grouped=True)}"


def _runs(text: str) -> list[tuple[str, str]]:
    """The text in pieces of one font each."""
    runs = list[tuple[str, str]]()
    for each in text:
        font = FONT if ord(each) in _known else FALLBACK
        if runs and runs[-1][0] == font:
            runs[-1] = (font, runs[-1][1] + each)
        else:
            runs.append((font, each))
    return runs


def _width(text: str, size: float) -> float:
    return float(sum(pdfmetrics.stringWidth(piece, font, size) for font, piece in _runs(text)))


def _text(canvas: Canvas, x: float, y: float, text: str, size: float) -> None:
    for font, piece in _runs(text):
        canvas.setFont(font, size)
        canvas.drawString(x, y, piece)
        x += pdfmetrics.stringWidth(piece, font, size)


def _lines(text: str, width: float, size: float) -> list[str]:
    """The text in at most MOST_LINES lines that fit; Chinese may break anywhere. What is too long ends with …"""
    lines = [""]
    for each in text:
        if _width(lines[-1] + each, size) > width:
            if len(lines) == MOST_LINES:
                return [*lines[:-1], f"{lines[-1][:-1]}…"]
            lines.append("")
        lines[-1] += each
    return lines
