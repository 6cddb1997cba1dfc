/**
 * A mapping file as text and as rules, always in step: the text is the truth, every change on the canvas is a change of
 * the text that keeps comments and order. Numbers beyond what JavaScript holds stay exact.
 */
import { isMap, isSeq, parseDocument, type Document, type YAMLMap } from 'yaml'

export type Way = 'both' | 'from' | 'to'
export type At = (number | 'each' | 'inside')[]

export interface Rule {
  /** Where it stands: [4] or [7, 'each', 2]. */
  at: At
  native?: string
  canonical?: string
  way: Way
  codec?: string
  each?: Rule[]
  inside?: Rule[]
  /** Everything that is written in the file. */
  given: Record<string, unknown>
}

export interface Trial {
  name: string
  way: 'from' | 'to'
  sample?: string
  at: string
  record?: unknown
  context: Record<string, unknown>
}

export interface Mapping {
  connector: string
  entity: string
  rules: Rule[]
  tables: Record<string, { from?: Record<string, unknown>; to?: Record<string, unknown>; default_from?: unknown; default_to?: unknown }>
  tests: Trial[]
}

const OPTIONS = { intAsBigInt: true, keepSourceTokens: false } as const
const LAYOUT = { lineWidth: 140, flowCollectionPadding: false } as const

function open(text: string): Document.Parsed {
  return parseDocument(text, OPTIONS)
}

/** Big integers as text, others as numbers: what JSON can carry exactly. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString()
  if (Array.isArray(value)) return value.map(plain)
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
  return value
}

/** The rules of a text, or null when it is no readable mapping. */
export function read(text: string): Mapping | null {
  const document = open(text)
  if (document.errors.length > 0 || !isMap(document.contents)) return null
  const given = plain(document.toJS()) as Record<string, unknown>
  if (!Array.isArray(given.rules)) return null
  return {
    connector: String(given.connector ?? ''),
    entity: String(given.entity ?? ''),
    rules: rulesOf(given.rules, []),
    tables: (given.tables ?? {}) as Mapping['tables'],
    tests: Array.isArray(given.tests) ? given.tests.flatMap(testOf) : [],
  }
}

function rulesOf(given: unknown[], above: At): Rule[] {
  return given.flatMap((one, i) => {
    if (!one || typeof one !== 'object') return []
    const rule = one as Record<string, unknown>
    const at: At = [...above, i]
    const text = (name: string): string | undefined => (typeof rule[name] === 'string' ? (rule[name] as string) : undefined)
    return [{
      at, native: text('native'), canonical: text('canonical'), way: wayOf(rule), codec: text('codec'), given: rule,
      each: Array.isArray(rule.each) ? rulesOf(rule.each, [...at, 'each']) : undefined,
      inside: Array.isArray(rule.inside) ? rulesOf(rule.inside, [...at, 'inside']) : undefined,
    }]
  })
}

function wayOf(rule: Record<string, unknown>): Way {
  if (rule.way === 'from' || rule.way === 'to') return rule.way
  if (rule.way === undefined && ('value' in rule || 'expr' in rule)) {
    if (rule.native !== undefined && rule.canonical === undefined) return 'to'
    if (rule.canonical !== undefined && rule.native === undefined) return 'from'
  }
  return 'both'
}

function testOf(one: unknown): Trial[] {
  if (!one || typeof one !== 'object') return []
  const test = one as Record<string, unknown>
  if (test.error !== undefined) return []
  return [{
    name: String(test.name ?? ''), way: test.way === 'to' ? 'to' : 'from', sample: typeof test.sample === 'string' ? test.sample : undefined, at: typeof test.at === 'string' ? test.at : '.', record: test.in,
    context: (test.context ?? {}) as Record<string, unknown>,
  }]
}

function changed(text: string, change: (document: Document.Parsed) => void): string {
  const document = open(text)
  change(document)
  return document.toString(LAYOUT)
}

const where = (at: At): (string | number)[] => ['rules', ...at]

/** Writes a rule in place of the one that stands there; members that are undefined are left out. */
export function setRule(text: string, at: At, given: Record<string, unknown>): string {
  return changed(text, (document) => {
    const node = document.getIn(where(at))
    if (!isMap(node)) return
    const kept = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    for (const pair of [...(node as YAMLMap).items]) {
      const key = String(pair.key)
      if (key !== 'each' && key !== 'inside' && !(key in kept)) node.delete(pair.key)
    }
    for (const [key, value] of Object.entries(kept)) {
      if (key === 'each' || key === 'inside') continue
      if (JSON.stringify(plain(node.toJS(document))?.[key as never]) !== JSON.stringify(value)) node.set(key, document.createNode(value, { flow: true }))
    }
  })
}

export function addRule(text: string, above: At, given: Record<string, unknown>): string {
  return changed(text, (document) => {
    const list = document.getIn(where(above))
    if (!isSeq(list)) return
    const node = document.createNode(given) as YAMLMap
    if (!('each' in given)) node.flow = true
    list.add(node)
  })
}

export function removeRule(text: string, at: At): string {
  return changed(text, (document) => {
    document.deleteIn(where(at))
  })
}

export function setTable(text: string, name: string, table: Record<string, unknown>): string {
  return changed(text, (document) => {
    document.setIn(['tables', name], document.createNode(table))
  })
}

/** The value at a path such as `a.b[0].c`; `.` is the thing itself. */
export function pick(record: unknown, path: string): unknown {
  if (path === '.') return record
  let value: unknown = record
  for (const step of path.match(/[^.[\]]+|\[[^\]]*\]/g) ?? []) {
    if (value === null || value === undefined) return undefined
    if (step.startsWith('[')) {
      const inner = step.slice(1, -1)
      if (!Array.isArray(value)) {
        value = (value as Record<string, unknown>)[inner.replace(/^'|'$/g, '')]
        continue
      }
      const chosen = /^(\w+)=(.*)$/.exec(inner)
      value = chosen ? value.find((one) => String((one as Record<string, unknown>)?.[chosen[1] ?? '']) === chosen[2]) : value.at(Number(inner))
    } else value = (value as Record<string, unknown>)[step]
  }
  return value
}
