"""Amounts in Chinese capital numerals (人民币大写), which stand on receipts because they cannot be altered by a stroke.

The form is that of 支付结算办法, 附一: 元 or 角 is followed by 整 when nothing comes behind it, 分 by nothing; a gap of
zeros inside a number is read as one 零.
"""

from __future__ import annotations

DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("", "拾", "佰", "仟")
GROUPS = ("", "万", "亿", "万亿")
LARGEST = 10**16 * 100 - 1
"""Fen; sixteen digits of yuan are more than any receipt will see."""


def chinese_amount(fen: int) -> str:
    """The amount in words, such as 人民币壹佰贰拾元零伍分. Raises ValueError below nothing and above LARGEST."""
    if not 0 <= fen <= LARGEST:
        raise ValueError(f"{fen} fen cannot be written in capitals")
    yuan, rest = divmod(fen, 100)
    jiao, odd = divmod(rest, 10)
    words = f"{_whole(yuan)}元" if yuan else ""
    if not rest:
        return f"人民币{words or '零元'}整"
    if jiao:
        words += f"{DIGITS[jiao]}角"
    elif yuan:
        words += "零"
    return f"人民币{words}{DIGITS[odd] + '分' if odd else '整'}"


def _whole(number: int) -> str:
    """A whole number in groups of four digits, with one 零 for each gap that is not at the end of the number."""
    groups = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    words, gap = "", False
    for power in range(len(groups) - 1, -1, -1):
        group = groups[power]
        if not group:
            gap = bool(words)
            # 万亿 is 万 of 亿: the greater unit must be named even when the group below it is empty.
            if power == 2 and words:
                words += "亿"
            continue
        if words and (gap or group < 1000):
            words += "零"
        unit = GROUPS[power] if power < 3 else "万"
        words += _four(group) + unit
        gap = False
    return words


def _four(group: int) -> str:
    words, gap = "", False
    for place in (3, 2, 1, 0):
        digit = group // 10**place % 10
        if not digit:
            gap = bool(words)
            continue
        words += ("零" if gap else "") + DIGITS[digit] + PLACES[place]
        gap = False
    return words
