"""The invented people and goods all simulators share, so that one person is the same person in each.

Made from a seed, the same on every machine. Names, addresses and phone numbers are invented (a number
is the person's place in the list, written as a mobile number). ``ids`` are keyed by identity kind;
every simulator takes the kinds it knows.
"""

from __future__ import annotations

import functools
import hashlib
import random
from dataclasses import dataclass, field
from decimal import Decimal

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾"
GIVEN = [
    "子涵",
    "雨桐",
    "浩然",
    "欣怡",
    "梓萱",
    "宇轩",
    "思远",
    "佳琪",
    "嘉懿",
    "晓彤",
    "志强",
    "丽华",
    "建国",
    "秀英",
    "明哲",
    "语嫣",
    "俊杰",
    "诗涵",
    "文博",
    "静怡",
    "一诺",
    "若曦",
    "天佑",
    "可馨",
]
PLACES = [
    ("浙江省", "杭州市", "西湖区", "文三路", "310012"),
    ("上海市", "上海市", "徐汇区", "漕溪北路", "200030"),
    ("广东省", "深圳市", "南山区", "科苑路", "518057"),
    ("广东省", "广州市", "天河区", "体育西路", "510620"),
    ("北京市", "北京市", "海淀区", "中关村大街", "100080"),
    ("江苏省", "南京市", "鼓楼区", "中山北路", "210009"),
    ("四川省", "成都市", "武侯区", "人民南路", "610041"),
    ("湖北省", "武汉市", "洪山区", "珞喻路", "430070"),
    ("陕西省", "西安市", "雁塔区", "小寨东路", "710061"),
    ("福建省", "厦门市", "思明区", "湖滨南路", "361004"),
]
GOODS = [
    ("TEA", "明前龙井 绿茶", ["50g", "100g", "250g"], "68.00"),
    ("CUP", "青瓷盖碗", ["白", "青", "天蓝"], "129.00"),
    ("TWL", "长绒棉浴巾", ["米白", "烟灰"], "59.90"),
    ("SOX", "桑蚕丝袜", ["S", "M", "L"], "39.00"),
    ("LMP", "阅读台灯", ["暖光", "自然光"], "219.00"),
    ("BAG", "帆布通勤包", ["黑", "卡其"], "149.00"),
    ("INK", "徽墨礼盒", ["单锭", "双锭"], "188.00"),
    ("RCE", "五常大米", ["2.5kg", "5kg"], "45.50"),
]
LEVELS = ["普通", "银卡", "金卡", "黑金"]
TAGS = ["老客户", "新客", "礼品采购", "企业采购", "茶友", "高复购", "需回访"]


@dataclass(frozen=True, slots=True)
class Address:
    province: str
    city: str
    district: str
    street: str
    zip: str

    def joined(self) -> str:
        return f"{self.province}{'' if self.city == self.province else self.city}{self.district}{self.street}"


@dataclass(frozen=True, slots=True)
class Employee:
    """A salesperson; ``ids`` has ``staff.userid`` (messaging) and ``staff.number`` (ERP)."""

    index: int
    name: str
    phone: str
    email: str
    ids: dict[str, str]


@dataclass(frozen=True, slots=True)
class Person:
    """A customer, known by a different id in every system; ``owner`` is the salesperson's userid."""

    index: int
    name: str
    nick: str
    phone: str
    email: str
    gender: str
    address: Address
    level: str
    tags: tuple[str, ...]
    owner: str
    ids: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sku:
    """One variant. ``price`` is in yuan; ``code`` is what every system calls it."""

    index: int
    code: str
    title: str
    spec: str
    price: Decimal
    barcode: str
    ids: dict[str, str]


@dataclass(slots=True)
class World:
    """``size`` customers, the goods and the staff."""

    size: int = 500
    seed: int = 2024
    customers: list[Person] = field(init=False)
    skus: list[Sku] = field(init=False)
    staff: list[Employee] = field(init=False)

    def __post_init__(self) -> None:
        dice = random.Random(self.seed)
        self.staff = [_employee(index, dice) for index in range(8)]
        self.skus = list(_skus())
        self.customers = [_person(index, dice, self.staff) for index in range(self.size)]

    def find(self, kind: str, value: str) -> Person | None:
        """The person with this id of this kind, e.g. ``find("unionid", "o6_…")``."""
        for person in self.customers:
            if person.ids.get(kind) == value:
                return person
        return None


def _token(kind: str, index: int, length: int) -> str:
    """A stable id that looks random: letters and digits from a digest."""
    text = hashlib.sha256(f"{kind}:{index}".encode()).hexdigest()
    return text[:length]


def _name(dice: random.Random) -> str:
    return dice.choice(SURNAMES) + dice.choice(GIVEN)


def _employee(index: int, dice: random.Random) -> Employee:
    userid = f"sales{index + 1:02d}"
    return Employee(
        index=index,
        name=_name(dice),
        phone=f"1390000{index:04d}",
        email=f"{userid}@example.com",
        ids={"staff.userid": userid, "staff.number": f"EMP{index + 1:03d}"},
    )


def _person(index: int, dice: random.Random, staff: list[Employee]) -> Person:
    name = _name(dice)
    province, city, district, street, code = dice.choice(PLACES)
    number, room = dice.randint(1, 399), dice.randint(101, 2905)
    return Person(
        index=index,
        name=name,
        nick=f"t{_token('nick', index, 6)}",
        phone=f"1380{index:07d}",
        email=f"customer{index:04d}@example.com",
        gender=dice.choice(["male", "female"]),
        address=Address(province, city, district, f"{street}{number}号{room}室", code),
        level=dice.choice(LEVELS),
        tags=tuple(sorted(dice.sample(TAGS, dice.randint(0, 3)))),
        owner=dice.choice(staff).ids["staff.userid"],
        ids={
            "unionid": f"o6_{_token('unionid', index, 25)}",
            "wecom.external_userid": f"wm{_token('external', index, 30)}",  # house: vendor-word because a kind of id
            "taobao.open_uid": f"AAE{_token('open_uid', index, 21)}",  # house: vendor-word because an identity kind
            "crm.id": f"C{100000 + index}",
            "kingdee.number": f"CUST{index + 1:05d}",  # house: vendor-word because an identity kind
        },
    )


def _skus() -> list[Sku]:
    found: list[Sku] = []
    for place, (prefix, title, specs, price) in enumerate(GOODS):
        for variant, spec in enumerate(specs):
            index = len(found)
            found.append(
                Sku(
                    index=index,
                    code=f"{prefix}-{variant + 1:02d}",
                    title=title,
                    spec=spec,
                    price=Decimal(price) + variant * 10,
                    barcode=f"690000{index:07d}",
                    ids={
                        "taobao.num_iid": str(610000000000 + place),  # house: vendor-word because an identity kind
                        "taobao.sku_id": str(5100000000000 + index),  # house: vendor-word because an identity kind
                        "kingdee.number": f"{prefix}-{variant + 1:02d}",  # house: vendor-word because an identity kind
                        "product": prefix,
                    },
                )
            )
    return found


@functools.cache
def shared() -> World:
    """The world of 500 customers that every simulator of one process shares."""
    return World()


__all__ = ["Address", "Employee", "Person", "Sku", "World", "shared"]
