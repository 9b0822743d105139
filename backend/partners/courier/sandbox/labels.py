"""What is stuck on a parcel: a PDF of 76 × 130 mm with the number as a bar code."""

from __future__ import annotations

from io import BytesIO

from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from backend.partners.courier.sandbox.places import COMPANIES
from backend.partners.courier.sandbox.world import Parcel

_FONT = "STSong-Light"


def label(parcel: Parcel) -> bytes:
    """The label of a parcel. Names and phones are masked, as they are on real ones."""
    if _FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(_FONT))
    made = BytesIO()
    page = Canvas(made, pagesize=(76 * mm, 130 * mm))
    page.setFont(_FONT, 12)
    page.drawString(5 * mm, 120 * mm, f"{COMPANIES.get(parcel.company, parcel.company)}（沙箱）")
    Code128(parcel.waybill, barHeight=16 * mm, barWidth=0.3 * mm).drawOn(page, 2 * mm, 98 * mm)
    page.setFont(_FONT, 9)
    lines = [parcel.waybill, f"订单 {parcel.number}"]
    for title, who in (("收", parcel.receiver), ("寄", parcel.sender)):
        lines += [f"{title} {who.name[:1]}** {who.phone[:3]}****{who.phone[-4:]}", "".join(who.places), who.street]
    for row, line in enumerate([*lines, f"内件 {parcel.contents}"]):
        page.drawString(5 * mm, (92 - 7 * row) * mm, line[:24])
    page.showPage()
    page.save()
    return made.getvalue()
