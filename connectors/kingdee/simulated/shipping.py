"""What the pretend warehouse does: outstock documents from audited orders, and stock that goes down."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from connectors.kingdee.simulated import books

STORE = "CK001"


def push(ledger: books.Books, order: books.Document) -> books.Document:
    """An outstock draft with what is still owed, linked to its order. Raises Refused."""
    if order.status != "C" or order.cancel_status == "B" or order.close_status == "B":
        raise books.Refused(11, f"销售订单“{order.number}”不满足下推条件")
    owed = [(row, row["FQty"] - shipped(ledger, row["FEntryID"])) for row in order.main_rows()]
    owed = [(row, quantity) for row, quantity in owed if quantity > 0]
    if not owed:
        raise books.Refused(11, f"销售订单“{order.number}”已全部出库，没有可下推的数据")
    header, finance = order.header, order.rows["FSaleOrderFinance"][0]
    organisation = {"FNumber": header["FSaleOrgId"]}
    model: dict[str, Any] = {
        "FID": 0,
        "FBillTypeID": {"FNUMBER": "XSCKD01_SYS"},
        "FDate": ledger.now().strftime("%Y-%m-%d 00:00:00"),
        "FSaleOrgId": organisation,
        "FCustomerID": {"FNumber": header["FCustId"]},
        "FStockOrgId": organisation,
        "FLinkMan": header.get("FLinkMan") or "",
        "FLinkPhone": header.get("FLinkPhone") or "",
        "FReceiveAddress": header.get("FReceiveAddress") or "",
        "SubHeadEntity": {"FSettleCurrID": {"FNumber": finance["FSettleCurrId"]}, "FSettleOrgID": organisation},
        "FEntity": [
            {
                "FMaterialID": {"FNumber": row["FMaterialId"]},
                "FUnitID": {"FNumber": row["FUnitID"]},
                "FRealQty": quantity,
                "FTaxPrice": row.get("FTaxPrice", 0),
                "FEntryTaxRate": row.get("FEntryTaxRate", 0),
                "FMustQty": quantity,
                "FStockID": {"FNumber": STORE},
                "FStockStatusID": {"FNumber": "KCZT01_SYS"},
                "FSrcType": "SAL_SaleOrder",
                "FSrcBillNo": order.number,
                "FSoorDerno": order.number,
                "FSOEntryId": row["FEntryID"],
                "FEntrynote": row.get("FEntryNote") or "",
            }
            for row, quantity in owed
        ],
    }
    return ledger.save("SAL_OUTSTOCK", model, {})


def ship(ledger: books.Books, order: books.Document, carrier: str, waybill: str) -> books.Document:
    """Push, submit and audit in one go, as the warehouse does; the order closes when nothing is owed."""
    note = push(ledger, order)
    note.header["FCarrierID"], note.header["FCarriageNO"] = carrier, waybill
    ledger.submit(note)
    ledger.audit(note, by_people=True)
    leave(ledger, note)
    return note


def leave(ledger: books.Books, note: books.Document) -> None:
    """Take an audited outstock's goods off the shelf and close the orders that are complete."""
    for row in note.main_rows():
        take(ledger, row["FMaterialID"], row["FRealQty"])
    numbers = {row.get("FSoorDerno") or row.get("FSrcBillNo") for row in note.main_rows()}
    for number in sorted(number for number in numbers if number):
        order = ledger.documents["SAL_SaleOrder"].get(number)
        if order and all(row["FQty"] <= shipped(ledger, row["FEntryID"], audited=True) for row in order.main_rows()):
            ledger.mark(order, close_status="B")


def shipped(ledger: books.Books, order_entry: int, *, audited: bool = False) -> Decimal:
    """How much of an order row is on outstock documents (only audited ones, if so asked)."""
    kept = ledger.documents["SAL_OUTSTOCK"]
    made = [note for note in ledger.links.get(order_entry, []) if kept.get(note.number) is note]
    counted = [note for note in made if note.cancel_status == "A" and (note.status == "C" or not audited)]
    rows = [row for note in counted for row in note.main_rows() if row.get("FSOEntryId") == order_entry]
    return sum((row["FRealQty"] for row in rows), Decimal(0))


def owed(ledger: books.Books, sku: str) -> Decimal:
    """How much of a material the open, audited orders still wait for."""
    orders = [
        one
        for one in ledger.documents["SAL_SaleOrder"].values()
        if (one.status, one.close_status, one.cancel_status) == ("C", "A", "A")
    ]
    rows = [row for order in orders for row in order.main_rows() if row["FMaterialId"] == sku]
    return sum((row["FQty"] - shipped(ledger, row["FEntryID"], audited=True) for row in rows), Decimal(0))


def stock(ledger: books.Books, sku: str, quantity: Decimal, lot: str = "") -> None:
    """Put ``quantity`` of a material (or of a lot of it) on the shelf; an inventory row is made when there is none."""
    key = f"{sku}@{STORE}" + (f"#{lot}" if lot else "")
    moment = ledger.now()
    row = ledger.documents["STK_Inventory"].get(key)
    if row is None:
        row = books.Document(ledger.forms["STK_Inventory"], len(ledger.documents["STK_Inventory"]) + 1, key, "C",
                             moment, moment)  # fmt: skip
        row.header.update(FMaterialId=sku, FStockId=STORE, FStockOrgId="100", FStockStatusId="KCZT01_SYS",
                          FLot=lot, FBaseUnitId="Pcs", FAVBQty=Decimal(0))  # fmt: skip
        ledger.documents["STK_Inventory"][key] = row
    row.header["FQty"] = row.header["FBaseQty"] = quantity
    row.modified = moment


def take(ledger: books.Books, sku: str, quantity: Decimal) -> None:
    """Lower the stock; it may go below zero, which stock sites allow with a prompt."""
    row = ledger.documents["STK_Inventory"].get(f"{sku}@{STORE}")
    stock(ledger, sku, (row.header["FQty"] if row else Decimal(0)) - quantity)
