import { describe, expect, it } from 'vitest'
import { canonicalCells, linesOf, nativeCells } from './columns'
import { addRule, pick, plain, read, removeRule, setRule, setTable } from './document'
import { guess, join, likeness, suggestions } from './joining'

const TEXT = `# what an order means
apiVersion: shuniu/mapping/v1
connector: shop
entity: order
rules:
  - {native: no, canonical: id}   # the number on paper
  - {native: state, canonical: status, codec: enum, table: state}
  - {canonical: currency, value: CNY, way: from}
  - native: items
    canonical: lines
    each:
      - {native: row, canonical: id}
tables:
  state: {from: {"0": created, "1": paid}}
tests:
  - {name: paid, way: from, in: {no: 2067719225654838123, state: 1, made: "2026-01-02 03:04:05", items: [{row: 1, qty: 2}]}, out: {id: "1"}}
`
const FIELDS = [
  { path: 'id', shape: 'text', required: true, values: [] }, { path: 'status', shape: 'enum', required: true, values: [] }, { path: 'created_at', shape: 'moment', required: false, values: [] }, { path: 'lines', shape: 'list', required: false, values: [] },
  { path: 'id', within: 'lines', shape: 'text', required: true, values: [] }, { path: 'quantity', within: 'lines', shape: 'decimal', required: true, values: [] },
]

function mapping(text = TEXT) {
  const found = read(text)
  if (!found) throw new Error('unreadable')
  return found
}

describe('the text', () => {
  it('is read into rules with their places, directions and exact numbers', () => {
    const found = mapping()
    expect(found.rules.map((one) => one.way)).toEqual(['both', 'both', 'from', 'both'])
    expect(found.rules[3]?.each?.[0]?.at).toEqual([3, 'each', 0])
    expect(pick(found.tests[0]?.record, 'no')).toBe('2067719225654838123')
  })

  it('keeps comments and order through every change', () => {
    let text = setRule(TEXT, [1], { ...mapping().rules[1]?.given, required: true })
    text = addRule(text, [3, 'each'], { native: 'qty', canonical: 'quantity', codec: 'number' })
    text = setTable(text, 'state', { from: { '0': 'created', '2': 'shipped' } })
    expect(text).toContain('# what an order means')
    expect(text).toContain('# the number on paper')
    const found = mapping(text)
    expect(found.rules[1]?.given.required).toBe(true)
    expect(found.rules[3]?.each?.[1]?.canonical).toBe('quantity')
    expect(found.tables.state?.from).toEqual({ '0': 'created', '2': 'shipped' })
    expect(text).toContain('2067719225654838123')
  })

  it('takes rules and members away', () => {
    expect(mapping(removeRule(TEXT, [0])).rules[0]?.native).toBe('state')
    const { codec: _codec, table: _table, ...rest } = mapping().rules[1]?.given ?? {}
    expect(mapping(setRule(TEXT, [1], rest)).rules[1]?.given).toEqual({ native: 'state', canonical: 'status' })
  })

  it('is no mapping when it is no YAML', () => {
    expect(read('rules: [')).toBeNull()
    expect(read('a: 1')).toBeNull()
  })

  it('writes big numbers as text', () => expect(plain({ a: 2n ** 60n, b: 3n })).toEqual({ a: '1152921504606846976', b: 3 }))
})

describe('paths', () => {
  const record = { a: { b: [{ k: 'x', v: 1 }, { k: 'y', v: 2 }] }, 'odd.name': 3 }
  it.each([['a.b[0].v', 1], ['a.b[-1].v', 2], ['a.b[k=y].v', 2], ["['odd.name']", 3], ['a.c.d', undefined], ['.', record]])('%s', (path, value) => expect(pick(record, path)).toEqual(value))
})

describe('joining', () => {
  const cells = () => {
    const found = mapping()
    return { found, left: nativeCells(found.tests[0]?.record, found.rules), right: canonicalCells(FIELDS, found.rules, {}) }
  }
  const cell = (list: { key: string }[], key: string) => list.find((one) => one.key === key) as never

  it('groups lists and draws a line per rule', () => {
    const { found, left } = cells()
    expect(left.map((one) => one.key)).toEqual(['|no', '|state', '|made', 'items|', 'items|row', 'items|qty'])
    expect(linesOf(found).map((one) => [one.left, one.right])).toEqual([['|no', '|id'], ['|state', '|status'], ['items|', 'lines|'], ['items|row', 'lines|id']])
  })

  it('puts a rule into the list where both fields live', () => {
    const { found, left, right } = cells()
    const made = mapping(join(TEXT, found, cell(left, 'items|qty'), cell(right, 'lines|quantity')))
    expect(made.rules[3]?.each?.[1]?.given).toEqual({ native: 'qty', canonical: 'quantity', codec: 'number' })
  })

  it('guesses the codec from the sample', () => {
    const { left, right } = cells()
    expect(guess(cell(left, '|made'), cell(right, '|created_at'))).toEqual({ codec: 'datetime', format: '%Y-%m-%d %H:%M:%S', zone: 'Asia/Shanghai' })
    const seconds = { key: '', group: '', path: 't', shape: 'decimal', required: false, head: false, value: 1700000000 }
    expect(guess(seconds, cell(right, '|created_at'))).toEqual({ codec: 'datetime', format: 'unix_s' })
  })

  it('suggests the same pairs every time and none that is taken', () => {
    const { left, right } = cells()
    const more = [...left, { key: '|mobile', group: '', path: 'mobile', shape: 'text', required: false, head: false, value: '138' }]
    const there = [...right, { key: '|receiver.phone', group: '', path: 'receiver.phone', shape: 'text', required: false, head: false }]
    const found = suggestions(more, there, new Set(['|no', '|state']), new Set(['|id', '|status']), new Map([['items', 'lines']]))
    expect(found.map((one) => [one.left.path, one.right.path])).toContainEqual(['mobile', 'receiver.phone'])
    expect(found.map((one) => [one.left.path, one.right.path])).toContainEqual(['qty', 'quantity'])
    expect(found.some((one) => one.right.path === 'status')).toBe(false)
    expect(suggestions(more, there, new Set(), new Set(), new Map())).toEqual(suggestions(more, there, new Set(), new Set(), new Map()))
  })

  it('does not take words for numbers', () => {
    const word = { key: '', group: '', path: 'amount', shape: 'text', required: false, head: false, value: 'many' }
    const money = { key: '', group: '', path: 'amount', shape: 'decimal', required: false, head: false }
    expect(likeness(word, money)).toBeLessThan(3)
    expect(likeness({ ...word, value: '1.50' }, money)).toBeGreaterThanOrEqual(3)
  })
})
