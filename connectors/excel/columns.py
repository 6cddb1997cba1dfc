"""Which columns a sheet of each kind has: their headings, and what may stand in them.

A heading is recognised in Chinese, in English or by its key, in any order. ``line`` columns repeat: rows with the same
id are one record with several lines. Columns nobody knows travel in ``extra``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Column:
    """``kind``: text, number, money (yuan), time (Beijing), choice."""

    key: str
    zh: str
    en: str
    kind: str = "text"
    required: bool = False
    line: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    """What people write -> the standard word."""


def _one(key: str, zh: str, en: str, kind: str = "text", *, required: bool = False) -> Column:
    return Column(key, zh, en, kind, required)


def _line(key: str, zh: str, en: str, kind: str = "text", *, required: bool = False) -> Column:
    return Column(key, zh, en, kind, required, line=True)


_PLACE = (
    _one("province", "省", "Province"),
    _one("city", "市", "City"),
    _one("district", "区县", "District"),
    _one("street", "详细地址", "Street"),
)
_UPDATED = _one("updated_at", "修改时间", "Modified", "time")

SHEETS: dict[str, tuple[Column, ...]] = {
    "order": (
        _one("id", "订单号", "Order", required=True),
        Column(
            "status", "订单状态", "Status", "choice", True,
            choices={
                "待付款": "created", "已付款": "paid", "待发货": "paid", "部分发货": "partially_shipped",
                "已发货": "shipped", "已完成": "completed", "已关闭": "closed", "已取消": "closed",
            },
        ),
        _one("created_at", "下单时间", "Created", "time"),
        _one("paid_at", "付款时间", "Paid at", "time"),
        _one("total", "订单金额", "Total", "money", required=True),
        _one("freight", "运费", "Freight", "money"),
        _one("shop", "店铺", "Shop"),
        _one("buyer_nick", "买家", "Buyer"),
        _one("receiver_name", "收件人", "Receiver"),
        _one("receiver_phone", "收件电话", "Phone"),
        *_PLACE,
        _one("buyer_note", "买家留言", "Buyer's note"),
        _one("seller_note", "卖家备注", "Seller's note"),
        _UPDATED,
        _line("line_id", "子订单号", "Line"),
        _line("sku", "商品编码", "SKU", required=True),
        _line("title", "商品名称", "Title"),
        _line("spec", "规格", "Variant"),
        _line("quantity", "数量", "Quantity", "number", required=True),
        _line("unit_price", "单价", "Unit price", "money"),
        _line("paid", "行实付", "Line paid", "money"),
    ),
    "shipment": (
        _one("id", "发货单号", "Shipment"),
        _one("order_id", "订单号", "Order", required=True),
        _one("carrier_name", "快递公司", "Carrier"),
        _one("carrier_code", "快递编码", "Carrier code"),
        _one("tracking_number", "运单号", "Waybill", required=True),
        _one("shipped_at", "发货时间", "Shipped at", "time"),
        _line("sku", "商品编码", "SKU"),
        _line("quantity", "数量", "Quantity", "number"),
    ),
    "inventory": (
        _one("sku", "商品编码", "SKU", required=True),
        _one("warehouse", "仓库", "Warehouse"),
        _one("available", "可售数量", "Available", "number", required=True),
        _one("on_hand", "库存数量", "On hand", "number"),
        _UPDATED,
    ),
    "product": (
        _one("id", "商品编号", "Product", required=True),
        _one("title", "商品名称", "Title", required=True),
        Column(
            "status", "商品状态", "Status", "choice",
            choices={"在售": "active", "上架": "active", "下架": "inactive", "停售": "inactive", "删除": "deleted"},
        ),
        _one("unit", "单位", "Unit"),
        _one("category", "分类", "Category"),
        _UPDATED,
        _line("sku", "商品编码", "SKU", required=True),
        _line("barcode", "条码", "Barcode"),
        _line("spec", "规格", "Variant"),
        _line("price", "价格", "Price", "money"),
        _line("quantity", "数量", "Quantity", "number"),
    ),
    "customer": (
        _one("id", "客户编号", "Customer", required=True),
        _one("name", "客户名称", "Name", required=True),
        _one("phone", "电话", "Phone"),
        _one("mail", "邮箱", "E-mail"),
        _one("company", "公司", "Company"),
        *_PLACE,
        _one("level", "等级", "Level"),
        _one("tags", "标签", "Tags"),
        _one("owner", "负责人", "Owner"),
        _one("note", "备注", "Note"),
        _UPDATED,
    ),
    "after_sale": (
        _one("id", "售后单号", "After-sale", required=True),
        _one("order_id", "订单号", "Order", required=True),
        Column(
            "kind", "售后类型", "Kind", "choice", True,
            choices={
                "仅退款": "refund", "退款": "refund", "退货": "return", "退货退款": "return",
                "换货": "exchange", "维修": "repair",
            },
        ),
        Column(
            "status", "售后状态", "Status", "choice", True,
            choices={
                "待处理": "requested", "已同意": "accepted", "待退货": "accepted", "退货中": "returning",
                "已拒绝": "refused", "已完成": "done", "已关闭": "closed",
            },
        ),
        _one("amount", "退款金额", "Amount", "money"),
        _one("reason", "原因", "Reason"),
        _one("requested_at", "申请时间", "Requested", "time"),
        _UPDATED,
        _line("order_line_id", "子订单号", "Line"),
        _line("sku", "商品编码", "SKU"),
        _line("quantity", "数量", "Quantity", "number"),
    ),
}  # fmt: skip

NAMES = {
    "order": "订单",
    "shipment": "发货",
    "inventory": "库存",
    "product": "商品",
    "customer": "客户",
    "after_sale": "售后",
}


def heading(column: Column, language: str = "zh") -> str:
    return column.zh if language == "zh" else column.en


def known(kind: str) -> dict[str, Column]:
    """Every heading that means a column of this kind of sheet, in lower case without spaces."""
    found: dict[str, Column] = {}
    for column in SHEETS[kind]:
        for name in (column.key, column.zh, column.en):
            found.setdefault(folded(name), column)
    return found


def folded(text: str) -> str:
    """A heading without what people add to it: spaces, an asterisk, a unit in brackets."""
    return text.replace("（", "(").partition("(")[0].replace("*", "").replace(" ", "").strip().lower()


def words(column: Column, value: str) -> str:
    """The word people read for a standard one."""
    return next((word for word, standard in column.choices.items() if standard == value), value)
