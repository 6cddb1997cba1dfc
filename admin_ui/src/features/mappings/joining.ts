/** What a drag makes: a rule in the right list, with the likeliest codec; and which pairs to suggest. */
import { fieldWords } from '@/i18n/fields'
import { fold } from '@/lib/search'
import type { Cell } from './columns'
import { addRule, type At, type Mapping, type Rule } from './document'

/** The text with a rule that joins these two fields; the rule of their lists is made where it is missing. */
export function join(text: string, mapping: Mapping, left: Cell, right: Cell): string {
  if (left.head || right.head) {
    if (!left.head || !right.head || left.group.includes('/') || right.group.includes('/')) return text
    return addRule(text, [], { native: left.group, canonical: right.group, each: [] })
  }
  const rule = { native: left.path, canonical: right.path, ...guess(left, right) }
  const list = listRule(mapping.rules, left.group, right.group)
  if (list) return addRule(text, list, rule)
  if (left.group === '' || right.group === '') return addRule(text, [], { ...rule, native: absolute(left), canonical: absolute(right) })
  return addRule(text, [], { native: left.group, canonical: right.group, each: [rule] })
}

/** Across the edge of a list only its first element can be meant. */
function absolute(cell: Cell): string {
  return cell.group ? `${cell.group.split('/').map((one) => `${one}[0]`).join('.')}.${cell.path}` : cell.path
}

function listRule(rules: Rule[], left: string, right: string): At | null {
  if (left === '' && right === '') return []
  for (const rule of rules) {
    if (!rule.each || !rule.native || !rule.canonical) continue
    if (rule.native === left && rule.canonical === right) return [...rule.at, 'each']
    if (left.startsWith(`${rule.native}/`) && right.startsWith(`${rule.canonical}/`)) return listRule(rule.each, left.slice(rule.native.length + 1), right.slice(rule.canonical.length + 1))
  }
  return null
}

const MONEY = /total|amount|price|fee|paid|payment|discount|freight|金额/i

export function guess(left: Cell, right: Cell): Record<string, unknown> {
  if (right.shape === 'moment') {
    const text = String(left.value ?? '')
    if (/^\d{13}$/.test(text)) return { codec: 'datetime', format: 'unix_ms' }
    if (/^\d{10}$/.test(text)) return { codec: 'datetime', format: 'unix_s' }
    if (/T.*(Z|[+-]\d\d:?\d\d)$/.test(text)) return { codec: 'datetime', format: 'iso' }
    if (/^\d{4}-\d\d-\d\d$/.test(text)) return { codec: 'datetime', format: '%Y-%m-%d', zone: 'Asia/Shanghai' }
    return { codec: 'datetime', format: text.includes('T') ? '%Y-%m-%dT%H:%M:%S' : '%Y-%m-%d %H:%M:%S', zone: 'Asia/Shanghai' }
  }
  if (right.shape === 'decimal') {
    if (!MONEY.test(right.path)) return { codec: 'number' }
    const whole = typeof left.value === 'number' && Number.isInteger(left.value)
    return { codec: 'money', unit: whole && /fen|cent/i.test(left.path) ? 'fen' : 'yuan' }
  }
  if (right.shape === 'boolean' && typeof left.value === 'string' && left.value !== '') return { codec: 'boolean', true: left.value, false: left.value === 'Y' ? 'N' : '0' }
  return {}
}

const ALIKE: string[][] = [
  ['phone', 'mobile', 'tel', 'telephone', 'cellphone', 'contactphone'], ['created_at', 'created', 'createtime', 'createdate', 'createdat', 'addtime'], ['updated_at', 'modified', 'modifytime', 'updatetime', 'updatedat', 'modifydate', 'changed'],
  ['paid_at', 'paytime', 'paymenttime', 'paidtime'], ['shipped_at', 'consigntime', 'deliverytime', 'shiptime'], ['tracking_number', 'waybill', 'waybillno', 'expressno', 'logisticsno', 'trackingno', 'carriernumber', 'invoiceno', 'outsid'], ['carrier_name', 'logisticscompany', 'expresscompany', 'company'],
  ['number', 'billno', 'orderno', 'code', 'sn', 'no'], ['id', 'tid', 'orderid', 'fid'], ['sku', 'outerskuid', 'skucode', 'merchantcode', 'materialid', 'outeriid'], ['quantity', 'num', 'qty', 'count'], ['unit_price', 'price', 'saleprice'], ['total', 'payment', 'totalamount', 'payamount', 'orderamount'], ['freight', 'postfee', 'shippingfee', 'postage'],
  ['discount', 'discountfee', 'discountamount'], ['province', 'state', 'receiverstate', 'receiverprovince'], ['city', 'receivercity'], ['district', 'area', 'county', 'receiverdistrict'], ['street', 'address', 'detail', 'receiveraddress'], ['zip', 'postcode', 'zipcode'], ['name', 'realname', 'fullname', 'receivername', 'customername'], ['nick', 'nickname', 'buyernick'],
  ['status', 'orderstatus', 'state'], ['buyer_note', 'buyermessage', 'buyermemo', 'remark'], ['seller_note', 'sellermemo', 'memo', 'note'], ['email', 'mail'], ['title', 'goodsname', 'itemtitle', 'productname'], ['shop', 'shopname', 'sellernick', 'storename'],
]

export interface Suggestion {
  left: Cell
  right: Cell
  score: number
}

/** Likely pairs among fields that no rule uses yet, best first; the same every time. */
export function suggestions(left: Cell[], right: Cell[], usedLeft: ReadonlySet<string>, usedRight: ReadonlySet<string>, lists: ReadonlyMap<string, string>): Suggestion[] {
  const found: Suggestion[] = []
  for (const there of right) {
    if (there.head || usedRight.has(there.key) || there.shape === 'any') continue
    const best = left
      .filter((here) => !here.head && !usedLeft.has(here.key) && (here.group === '' ? there.group === '' : lists.get(here.group) === there.group))
      .map((here) => ({ left: here, right: there, score: likeness(here, there) }))
      .filter((one) => one.score >= 3)
      .sort((a, b) => b.score - a.score || a.left.key.localeCompare(b.left.key))[0]
    if (best) found.push(best)
  }
  const taken = new Set<string>()
  return found.sort((a, b) => b.score - a.score || a.right.key.localeCompare(b.right.key)).filter((one) => !taken.has(one.left.key) && taken.add(one.left.key))
}

export function likeness(left: Cell, right: Cell): number {
  const here = fold(left.path.split('.').pop() ?? '').replace(/^f(?=[a-z])(?!reight|orm|lag)/, '')
  const whole = fold(left.path)
  const names = fieldWords(right.path).map(fold)
  const last = right.path.split('.').pop() ?? ''
  const alike = ALIKE.find((one) => one[0] === last)?.map(fold) ?? []
  let score = 0
  if (names.includes(here) || names.includes(whole)) score = 5
  else if (alike.includes(here)) score = 4
  else if (names.some((one) => one.length > 3 && (here.endsWith(one) || whole.endsWith(one)))) score = 3
  if (score === 0) return 0
  const around = fold(right.path.split('.').slice(0, -1).join(''))
  if (around && (whole.includes(around) || fieldWords(right.path.split('.')[0] ?? '').some((one) => whole.includes(fold(one))))) score += 1
  else if (around) score -= 1
  if (right.shape === 'moment' && left.value !== undefined && left.value !== '' && left.shape !== 'moment' && !/^\d{10,13}$/.test(String(left.value))) score -= 2
  if (right.shape === 'decimal' && left.value !== undefined && left.value !== '' && Number.isNaN(Number(left.value))) score -= 3
  return score
}
