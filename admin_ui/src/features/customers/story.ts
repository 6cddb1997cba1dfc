/** What happened with a customer as one list in time, and what the systems say of them as one sheet. Pure. */
import type { Schemas } from '@/api/client'

type Everything = Schemas['Everything']
export type StoryKind = 'order' | 'shipment' | 'after_sale' | 'message' | 'timer' | 'other'

export interface Entry {
  key: string
  kind: StoryKind
  at: string | null
  /** What people call it: an order number, a tracking number; else the record's id. */
  name: string
  /** A value of the standard model's `status`, or the state of a delivery. */
  status: string | null
  statusOf: 'entity' | 'delivery' | 'timer' | null
  amount: string | null
  systems: string[]
  to: string | null
  /** Where more is to be seen. */
  href: string
}

const text = (of: Record<string, unknown>, ...names: string[]): string | null => {
  for (const name of names) if (of[name] !== null && of[name] !== undefined && of[name] !== '') return String(of[name])
  return null
}

const KINDS: Record<string, StoryKind> = { order: 'order', shipment: 'shipment', after_sale: 'after_sale' }
/** Fields of a record that say when it happened, the most telling first. */
const TIMES = ['paid_at', 'shipped_at', 'created_at', 'updated_at']

/** Everything dated, newest first; what has no time comes last. */
export function story(of: Pick<Everything, 'things' | 'messages' | 'timers'>): Entry[] {
  const found: Entry[] = []
  for (const [entity, things] of Object.entries(of.things)) {
    for (const thing of things) {
      const states = thing.records.map((one) => (one.state ?? {}) as Record<string, unknown>)
      const whole = Object.assign({}, ...[...states].reverse()) as Record<string, unknown>
      const amount = text(whole, 'paid', 'total', 'amount')
      found.push({
        key: `${entity}/${thing.link}`, kind: KINDS[entity] ?? 'other', at: text(whole, ...TIMES) ?? thing.records.map((one) => one.version_at ?? one.wrote_at ?? '').sort().pop() ?? null,
        name: text(whole, 'number', 'tracking_number') ?? thing.records.find((one) => one.number)?.number ?? thing.records[0]?.record ?? thing.link,
        status: text(whole, 'status'), statusOf: 'entity', amount: amount && `${text(whole, 'currency') ?? ''} ${amount}`.trim(),
        systems: [...new Set(thing.records.map((one) => one.connection))], to: null, href: `/links?q=${encodeURIComponent(thing.records[0]?.record ?? '')}`,
      })
    }
  }
  for (const one of of.messages) {
    found.push({ key: `message/${one.id}`, kind: 'message', at: one.settled_at ?? one.created_at, name: one.operation, status: one.state, statusOf: 'delivery', amount: null, systems: [one.connection], to: one.route, href: `/events/${one.event_id}` })
  }
  for (const one of of.timers) {
    if (one.state === 'fired') continue // what it sent is in the list itself
    found.push({ key: `timer/${one.id}`, kind: 'timer', at: one.ended_at ?? one.due_at ?? one.created_at, name: one.number ?? one.record, status: one.state, statusOf: 'timer', amount: null, systems: [one.connection], to: one.route, href: `/events/${one.event_id}` })
  }
  return found.sort((a, b) => (moment(b.at) - moment(a.at)) || a.key.localeCompare(b.key))
}

const moment = (iso: string | null): number => (iso ? new Date(iso).getTime() || 0 : 0)

export interface Line {
  path: string
  /** One per record, in the order of the records. */
  values: (string | null)[]
  differs: boolean
}

const HIDDEN = new Set(['id', 'identities', 'created_at', 'updated_at', 'extra'])

/** Field by field what each record says; a line differs when two of those that say something say another thing. */
export function sheet(records: Pick<Schemas['State'], 'state'>[]): Line[] {
  const each = records.map((one) => flat((one.state ?? {}) as Record<string, unknown>))
  const paths = [...new Set(each.flatMap((one) => [...one.keys()]))]
  return paths.map((path) => {
    const values = each.map((one) => one.get(path) ?? null)
    const said = values.filter((one): one is string => one !== null)
    return { path, values, differs: new Set(said).size > 1 }
  })
}

function flat(of: Record<string, unknown>, before = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(of)) {
    const path = before + name
    if ((!before && HIDDEN.has(name)) || value === null || value === '' || (Array.isArray(value) && value.length === 0)) continue
    if (Array.isArray(value)) found.set(path, value.every((one) => typeof one !== 'object') ? value.join('、') : `× ${value.length}`)
    else if (typeof value === 'object') for (const [inner, said] of flat(value as Record<string, unknown>, `${path}.`)) found.set(inner, said)
    else found.set(path, String(value))
  }
  return found
}

/** How sure a suggestion is, in three steps. */
export const sureness = (confidence: number): 'high' | 'middle' | 'low' => (confidence >= 0.8 ? 'high' : confidence >= 0.6 ? 'middle' : 'low')
