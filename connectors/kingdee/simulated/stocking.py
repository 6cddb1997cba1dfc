"""What a fresh pretend site holds: the shop's customer, the shared world's people as customers, its goods."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from connectors.kingdee.simulated import books, shipping

SHOP_CUSTOMER = "CUST0001"
AGE = timedelta(days=30)
"""Master data is old, so that a first poll does not take all of it for news."""


class Place(Protocol):
    @property
    def zip(self) -> str: ...
    def joined(self) -> str: ...


class Person(Protocol):
    """A customer of the shared world."""

    @property
    def name(self) -> str: ...
    @property
    def phone(self) -> str: ...
    @property
    def address(self) -> Place: ...
    @property
    def ids(self) -> dict[str, str]: ...


class Good(Protocol):
    """A variant of the shared world."""

    @property
    def code(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def spec(self) -> str: ...
    @property
    def barcode(self) -> str: ...


def fill(ledger: books.Books, people: list[Person], goods: list[Good]) -> None:
    """Put the starting records in; nothing is journalled."""
    _customer(ledger, SHOP_CUSTOMER, "杭州示例商贸有限公司", "0571-00000000", "浙江省 杭州市 西湖区 文三路 1 号")
    for person in people:
        _customer(ledger, person.ids["kingdee.number"], person.name, person.phone, person.address.joined())
    _material(ledger, "SKU-1001", "示例商品", "红色 L", "6900000001001", Decimal(120))
    _material(ledger, "SKU-1002", "示例商品", "蓝色 M", "6900000001002", Decimal(0))
    for good in goods:
        _material(ledger, good.code, good.title, good.spec, good.barcode, Decimal(100_000))


def _record(ledger: books.Books, form_id: str, number: str) -> books.Document:
    moment = ledger.now() - AGE
    made = books.Document(ledger.forms[form_id], ledger.next_id(), number, "C", moment, moment, approved=moment)
    made.header.update(FCreateOrgId="100", FUseOrgId="100")
    ledger.documents[form_id][number] = made
    return made


def _customer(ledger: books.Books, number: str, name: str, phone: str, address: str) -> None:
    made = _record(ledger, "BD_Customer", number)
    made.header.update(
        FName=name, FShortName=name, FTEL=phone, FINVOICETITLE=name, FADDRESS=address, FTRADINGCURRID="PRE001"
    )
    made.rows["FT_BD_CUSTCONTACT"] = [
        {
            "FEntryID": ledger.next_id(),
            "FNUMBER1": f"{number}-1",
            "FNAME1": "默认地址",
            "FADDRESS1": address,
            "FRECEIVER": name,
            "FMOBILE": phone,
            "FIsDefaultConsignee": True,
        }
    ]


def _material(ledger: books.Books, code: str, title: str, spec: str, barcode: str, quantity: Decimal) -> None:
    made = _record(ledger, "BD_MATERIAL", code)
    made.header.update(FName=f"{title} {spec}", FSpecification=spec, FBarCode=barcode, FBaseUnitId="Pcs")
    shipping.stock(ledger, code, quantity)
