/** Names of the standard models' fields for people; the last part of a path decides, longer paths go first. */
type Names = Record<string, [zh: string, en: string]>

const NAMES: Names = {
  id: ['编号', 'Id'], number: ['单号', 'Number'], created_at: ['创建时间', 'Created'], updated_at: ['修改时间', 'Changed'], extra: ['其他', 'Extra'], status: ['状态', 'Status'], hold: ['暂不处理', 'On hold'], hold_reason: ['暂停原因', 'Hold reason'],
  kind: ['类型', 'Kind'], shop: ['店铺', 'Shop'], currency: ['币种', 'Currency'], goods_total: ['商品金额', 'Goods total'], discount_total: ['优惠金额', 'Discounts'], freight: ['运费', 'Freight'], total: ['总金额', 'Total'], paid: ['实付', 'Paid'], paid_at: ['付款时间', 'Paid at'], shipped_at: ['发货时间', 'Shipped at'], completed_at: ['完成时间', 'Completed at'],
  buyer: ['买家', 'Buyer'], receiver: ['收货人', 'Receiver'], lines: ['明细', 'Lines'], payments: ['付款记录', 'Payments'], buyer_note: ['买家留言', "Buyer's note"], seller_note: ['卖家备注', "Seller's note"], seller_flag: ['旗标', 'Flag'],
  nick: ['昵称', 'Nickname'], name: ['名称', 'Name'], phone: ['电话', 'Phone'], email: ['邮箱', 'E-mail'], identities: ['身份标识', 'Identities'], value: ['值', 'Value'], address: ['地址', 'Address'], cipher: ['密文', 'Cipher'],
  country: ['国家', 'Country'], province: ['省', 'Province'], city: ['市', 'City'], district: ['区县', 'District'], town: ['街道', 'Town'], street: ['详细地址', 'Street'], zip: ['邮编', 'Zip'],
  sku: ['商家编码', 'SKU'], sku_id: ['规格编号', 'SKU id'], product_id: ['商品编号', 'Product id'], title: ['标题', 'Title'], spec: ['规格', 'Variant'], quantity: ['数量', 'Quantity'], unit: ['单位', 'Unit'], unit_price: ['单价', 'Unit price'], discount: ['优惠', 'Discount'], tax_rate: ['税率', 'Tax rate'], refund_status: ['退款状态', 'Refund status'], method: ['方式', 'Method'], amount: ['金额', 'Amount'],
  channel: ['渠道', 'Channel'], last_order: ['最近订单', 'Last order'], at: ['时间', 'Time'], short_name: ['简称', 'Short name'], tax_number: ['税号', 'Tax number'],
  order_id: ['订单', 'Order'], order_number: ['订单号', 'Order number'], carrier: ['承运商', 'Carrier'], carrier_code: ['承运商代码', 'Carrier code'], carrier_name: ['承运商', 'Carrier'], tracking_number: ['运单号', 'Tracking number'], warehouse: ['仓库', 'Warehouse'], customer_id: ['客户', 'Customer'],
  level: ['等级', 'Level'], tags: ['标签', 'Tags'], note: ['备注', 'Note'], gender: ['性别', 'Gender'], birthday: ['生日', 'Birthday'], owner: ['负责人', 'Owner'], company: ['公司', 'Company'], recipients: ['接收人', 'Recipients'], text: ['正文', 'Text'], url: ['链接', 'Link'], format: ['格式', 'Format'], reason: ['原因', 'Reason'], available: ['可用数量', 'Available'], barcode: ['条码', 'Barcode'], price: ['价格', 'Price'], images: ['图片', 'Images'], skus: ['规格', 'Variants'], form: ['表单', 'Form'], applicant: ['申请人', 'Applicant'], template: ['模板', 'Template'], source: ['来源', 'Source'], items: ['明细', 'Items'],
}

/** "receiver.address.city" → 收货人 · 地址 · 市 */
export function fieldName(path: string, language: 'zh' | 'en'): string {
  const at = language === 'zh' ? 0 : 1
  return path.replace(/\[[^\]]*\]/g, '').split(/[./]/).map((part) => NAMES[part]?.[at] ?? part).join(' · ')
}

/** All words by which a field might be meant, for suggestions. */
export function fieldWords(path: string): string[] {
  const last = path.replace(/\[[^\]]*\]/g, '').split(/[./]/).pop() ?? path
  return [last, ...(NAMES[last] ?? [])]
}

const VALUES: Names = {
  created: ['已下单', 'Placed'], paid: ['已付款', 'Paid'], partially_shipped: ['部分发货', 'Partly shipped'], shipped: ['已发货', 'Shipped'], signed: ['已签收', 'Signed for'], completed: ['已完成', 'Completed'], closed: ['已关闭', 'Closed'], open: ['退款处理中', 'Refund under way'], refunded: ['已退款', 'Refunded'], cancelled: ['已取消', 'Cancelled'],
  active: ['正常', 'Active'], inactive: ['停用', 'Inactive'], deleted: ['已删除', 'Deleted'], person: ['个人', 'Person'], company: ['企业', 'Company'], refund: ['退款', 'Refund'], return: ['退货', 'Return'], exchange: ['换货', 'Exchange'], repair: ['维修', 'Repair'],
  requested: ['待处理', 'Requested'], accepted: ['已同意', 'Accepted'], returning: ['退回途中', 'Returning'], refused: ['已拒绝', 'Refused'], done: ['已完成', 'Done'], pending: ['待审批', 'Pending'], approved: ['已通过', 'Approved'], rejected: ['已驳回', 'Rejected'], male: ['男', 'Male'], female: ['女', 'Female'],
}

/** What people call a value of the standard models' lists of choices; anything else stays as it is. */
export function valueName(value: string, language: 'zh' | 'en'): string {
  return VALUES[value]?.[language === 'zh' ? 0 : 1] ?? value
}
