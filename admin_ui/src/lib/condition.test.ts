import { describe, expect, it } from 'vitest'
import { parse, print } from './condition'

describe('conditions', () => {
  const known = [
    'order.status == "paid"', 'order.status == "paid" && !order.hold', 'order.total >= 100.5 || order.hold', 'order.status in ["paid", "shipped"]', 'order.buyer_note.contains("加急")', 'order.paid_at != null', 'shipment.tracking_number == null && shipment.carrier_name.startsWith("SF")',
  ]
  it.each(known)('reads and writes %s unchanged', (text) => {
    const found = parse(text)
    expect(found).not.toBeNull()
    if (found) expect(print(found)).toBe(text)
  })

  const beyond = ['order.status == "paid" && order.hold || order.kind == "x"', '(order.a == 1)', 'size(order.lines) > 2', 'order.lines.exists(l, l.sku == "a")', 'order.status ==', 'order.status == other.status', '@event.hop > 1']
  it.each(beyond)('leaves %s to the expression', (text) => expect(parse(text)).toBeNull())

  it('keeps operators inside of quotes', () => {
    const found = parse('order.note == "a && b || \\"c\\""')
    expect(found?.rows).toEqual([{ field: 'order.note', op: '==', value: 'a && b || "c"', numeric: false }])
  })

  it('quotes text that looks like a number unless the field is one', () => {
    expect(print({ join: '&&', rows: [{ field: 'order.id', op: '==', value: '1001', numeric: false }] })).toBe('order.id == "1001"')
    expect(print({ join: '&&', rows: [{ field: 'order.total', op: '>', value: '1001', numeric: true }] })).toBe('order.total > 1001')
  })

  it('cannot be broken out of', () => {
    const text = print({ join: '&&', rows: [{ field: 'order.note', op: '==', value: '" || true || "', numeric: false }] })
    expect(parse(text)?.rows[0]?.value).toBe('" || true || "')
  })
})
