"""Regions and people of the simulated journeys: codes of provinces and their capitals, names, phones that do not exist.

Codes are those of GB/T 2260. A place that is not listed has no code in a journey, unless a test names one.
"""

from __future__ import annotations

from hashlib import sha256

CODES: dict[str, str] = {
    "北京市": "110000", "天津市": "120000", "河北省": "130000", "石家庄市": "130100", "山西省": "140000",
    "太原市": "140100", "内蒙古自治区": "150000", "呼和浩特市": "150100", "辽宁省": "210000", "沈阳市": "210100",
    "吉林省": "220000", "长春市": "220100", "黑龙江省": "230000", "哈尔滨市": "230100", "上海市": "310000",
    "江苏省": "320000", "南京市": "320100", "浙江省": "330000", "杭州市": "330100", "安徽省": "340000",
    "合肥市": "340100", "福建省": "350000", "福州市": "350100", "江西省": "360000", "南昌市": "360100",
    "山东省": "370000", "济南市": "370100", "河南省": "410000", "郑州市": "410100", "湖北省": "420000",
    "武汉市": "420100", "湖南省": "430000", "长沙市": "430100", "广东省": "440000", "广州市": "440100",
    "广西壮族自治区": "450000", "南宁市": "450100", "海南省": "460000", "海口市": "460100", "重庆市": "500000",
    "四川省": "510000", "成都市": "510100", "贵州省": "520000", "贵阳市": "520100", "云南省": "530000",
    "昆明市": "530100", "西藏自治区": "540000", "拉萨市": "540100", "陕西省": "610000", "西安市": "610100",
    "甘肃省": "620000", "兰州市": "620100", "青海省": "630000", "西宁市": "630100", "宁夏回族自治区": "640000",
    "银川市": "640100", "新疆维吾尔自治区": "650000", "乌鲁木齐市": "650100",
}  # fmt: skip
_FAMILY = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
_GIVEN = ("志强", "秀兰", "建国", "晓东", "海燕", "文斌", "立新", "春梅", "永刚", "佳明", "雪松", "国庆")
COMPANIES: dict[str, str] = {
    "shunfeng": "顺丰速运",
    "ems": "EMS",
    "youzhengguonei": "邮政快递包裹",
    "youzhengbk": "邮政标准快递",
    "zhongtong": "中通快递",
    "shentong": "申通快递",
    "yuantong": "圆通速递",
    "yunda": "韵达快递",
    "jd": "京东物流",
    "jtexpress": "极兔速递",
    "debangkuaidi": "德邦快递",
    "huitongkuaidi": "百世快递",
    "tiantian": "天天快递",
    "youshuwuliu": "优速快递",
    "zhaijisong": "宅急送",
}
"""Companies that 快递100 knows here, and what they are called."""


def number_of(*words: str) -> int:
    """The same number for the same words, in every run."""
    return int.from_bytes(sha256("|".join(words).encode()).digest()[:6], "big")


def courier_of(*words: str) -> tuple[str, str]:
    """Name and phone of the courier: always the same for the same words."""
    number = number_of(*words)
    name = _FAMILY[number % len(_FAMILY)] + _GIVEN[number // 31 % len(_GIVEN)]
    return name, f"1380013{number // 977 % 10000:04d}"
