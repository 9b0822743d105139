"""Codes of regions (GB/T 2260 and its 12-digit continuation) and of organisations (USCC, GB 32100-2015). Pure.

The check digit comes from python-stdnum; the form is checked here, because stdnum wants a digit in the first two
places, and organisations registered by the agriculture departments really begin with N.
"""

from __future__ import annotations

import re

from stdnum.cn import uscc as _uscc

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""31 characters: the letters I O S V Z are left out, so a position is not the letter's distance from A."""
_USCC = re.compile(rf"[{USCC_ALPHABET}]{{2}}[0-9]{{6}}[{USCC_ALPHABET}]{{10}}", re.ASCII)
_REGION = re.compile(r"[1-9][0-9]{5}(?:[0-9]{6})?", re.ASCII)


def region_level(code: str) -> str:
    """Which level the code is of: province, city, county, town or village.

    Six digits down to counties, twelve for towns (the last three are 000) and villages. Raises ValueError with a
    Chinese sentence for anything else; whether the region exists is not asked: codes of the past stay readable.
    """
    if not _REGION.fullmatch(code):
        raise ValueError("行政区划代码应为 6 位数字，乡镇和村为 12 位")
    if len(code) == 12:
        if code[6:9] == "000":
            raise ValueError("12 位代码的第 7 至 9 位不能都是 0，县级及以上请用 6 位代码")
        return "town" if code.endswith("000") else "village"
    if code.endswith("0000"):
        return "province"
    return "city" if code.endswith("00") else "county"


def check_uscc(code: str) -> str:
    """The code in capitals, if it is a possible unified social credit code.

    Raises ValueError with a Chinese sentence that says what is wrong: length, a character outside the
    alphabet, or the check digit.
    """
    code = code.strip().upper()
    if len(code) != 18:
        raise ValueError("统一社会信用代码应为 18 位")
    if not _USCC.fullmatch(code):
        raise ValueError("统一社会信用代码含有不允许的字符（不使用字母 I、O、S、V、Z）")
    if code[17] != uscc_check_digit(code[:17]):
        raise ValueError("统一社会信用代码的校验位不正确")
    return code


def uscc_check_digit(body: str) -> str:
    """The 18th character for the first seventeen. Raises ValueError when they are not seventeen of the alphabet."""
    if len(body) != 17 or any(character not in USCC_ALPHABET for character in body):
        raise ValueError("校验位由前 17 位计算")
    return str(_uscc.calc_check_digit(body))
