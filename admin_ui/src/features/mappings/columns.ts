/** The two columns of the canvas: the fields of the system and of the standard model, in groups of lists. */
import type { ModelField } from '@/data/catalogue'
import type { Mapping, Rule } from './document'
import { pick } from './document'

export interface Cell {
  /** Unique in its column: group and path. */
  key: string
  /** The list around it, or '' for the record itself. */
  group: string
  path: string
  shape: string
  required: boolean
  value?: unknown
  /** A list's own row: the head of its group. */
  head: boolean
}

export interface Line {
  rule: Rule
  left: string
  right: string
}

export const cellKey = (group: string, path: string): string => `${group}|${path}`

/** The fields of a record by example: members of members with dots, lists as groups of their own. */
export function nativeCells(record: unknown, rules: Rule[]): Cell[] {
  const cells = new Map<string, Cell>()
  const add = (group: string, path: string, value: unknown, head = false): void => {
    const key = cellKey(group, path)
    const known = cells.get(key)
    if (!known) cells.set(key, { key, group, path, shape: head ? 'list' : shapeOf(value), required: false, value, head })
    else if (known.value === undefined) known.value = value
  }
  const walk = (value: unknown, group: string, prefix: string, depth: number): void => {
    if (!value || typeof value !== 'object' || depth > 5) return
    for (const [name, one] of Object.entries(value)) {
      const path = `${prefix}${/[.[\]]/.test(name) ? `['${name}']` : name}`
      if (Array.isArray(one) && one.some((item) => item && typeof item === 'object')) {
        const list = group ? `${group}/${path}` : path
        add(list, '', one, true)
        walk(one.find((item) => item && typeof item === 'object'), list, '', depth + 1)
      } else if (one && typeof one === 'object' && !Array.isArray(one)) walk(one, group, `${path}.`, depth + 1)
      else add(group, path, one)
    }
  }
  walk(record, '', '', 0)
  const named = (list: Rule[], group: string, around: unknown, prefix = ''): void => {
    for (const rule of list) {
      if (!rule.native) continue
      const path = prefix + rule.native
      if (rule.each) {
        const inner = group ? `${group}/${path}` : path
        const items = pick(around, path)
        add(inner, '', items, true)
        named(rule.each, inner, Array.isArray(items) ? items[0] : undefined)
      } else if (rule.inside) named(rule.inside, group, around, rule.native === '.' ? prefix : `${path}.`)
      else add(group, path, pick(around, path))
    }
  }
  named(rules, '', record)
  return grouped([...cells.values()])
}

/** The fields of a standard model, and places in lists that rules name by selector (`payments[0].amount`). */
export function canonicalCells(fields: ModelField[], rules: Rule[], result: unknown): Cell[] {
  const cells = new Map<string, Cell>()
  for (const field of fields) {
    if (field.shape === 'part') continue
    if (field.shape === 'list' && fields.some((one) => one.within === inGroup(field))) {
      cells.set(cellKey(inGroup(field), ''), { key: cellKey(inGroup(field), ''), group: inGroup(field), path: '', shape: 'list', required: field.required, head: true, value: valueOf(result, field.within ?? '', field.path) })
    } else {
      const key = cellKey(field.within ?? '', field.path)
      cells.set(key, { key, group: field.within ?? '', path: field.path, shape: field.shape, required: field.required, head: false, value: valueOf(result, field.within ?? '', field.path) })
    }
  }
  const named = (list: Rule[], group: string, prefix = ''): void => {
    for (const rule of list) {
      if (!rule.canonical) continue
      const path = prefix + rule.canonical
      if (rule.each) named(rule.each, group ? `${group}/${path}` : path)
      else if (rule.inside) named(rule.inside, group, rule.canonical === '.' ? prefix : `${path}.`)
      else if (!cells.has(cellKey(group, path))) {
        cells.set(cellKey(group, path), { key: cellKey(group, path), group, path, shape: 'text', required: false, head: false, value: valueOf(result, group, path) })
      }
    }
  }
  named(rules, '')
  return grouped([...cells.values()])
}

const inGroup = (field: ModelField): string => (field.within ? `${field.within}/${field.path}` : field.path)

function valueOf(record: unknown, group: string, path: string): unknown {
  let around = record
  for (const step of group ? group.split('/') : []) {
    const list = pick(around, step)
    around = Array.isArray(list) ? list[0] : undefined
  }
  return path ? pick(around, path) : around
}

/** The record's own fields first, then group after group, each with its head on top. */
function grouped(cells: Cell[]): Cell[] {
  const order = [...new Set(cells.map((one) => one.group))].sort((a, b) => (a === '' ? -1 : b === '' ? 1 : 0))
  return order.flatMap((group) => {
    const own = cells.filter((one) => one.group === group)
    return [...own.filter((one) => one.head), ...own.filter((one) => !one.head)]
  })
}

/** Every rule that joins a field here with a field there. */
export function linesOf(mapping: Mapping): Line[] {
  const found: Line[] = []
  const walk = (rules: Rule[], left: string, right: string, before = '', after = ''): void => {
    for (const rule of rules) {
      if (!rule.native || !rule.canonical) continue
      const native = before + rule.native
      const canonical = after + rule.canonical
      if (rule.each) {
        const from = left ? `${left}/${native}` : native
        const to = right ? `${right}/${canonical}` : canonical
        found.push({ rule, left: cellKey(from, ''), right: cellKey(to, '') })
        walk(rule.each, from, to)
      } else if (rule.inside) walk(rule.inside, left, right, rule.native === '.' ? before : `${native}.`, rule.canonical === '.' ? after : `${canonical}.`)
      else found.push({ rule, left: cellKey(left, native), right: cellKey(right, canonical) })
    }
  }
  walk(mapping.rules, '', '')
  return found
}

/** Canonical fields that rules fill without a native field (constants, expressions). */
export function filledAlone(mapping: Mapping): Map<string, Rule> {
  const found = new Map<string, Rule>()
  const walk = (rules: Rule[], group: string): void => {
    for (const rule of rules) {
      if (rule.canonical && !rule.native) found.set(cellKey(group, rule.canonical), rule)
      if (rule.each && rule.canonical) walk(rule.each, group ? `${group}/${rule.canonical}` : rule.canonical)
    }
  }
  walk(mapping.rules, '')
  return found
}

function shapeOf(value: unknown): string {
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'number') return 'decimal'
  if (typeof value === 'string') return /^\d{4}-\d\d-\d\d([ T]\d\d:\d\d|$)/.test(value) ? 'moment' : 'text'
  return 'any'
}
