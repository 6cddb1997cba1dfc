/** Conflicts as people see them: values as text, the later side, and which of many fit a choice. Pure. */
import type { Schemas } from '@/api/client'

export type Conflict = Schemas['Conflict']

/** A value as one line; null is empty. */
export function spoken(value: unknown): string {
  if (value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) return ''
  if (Array.isArray(value)) return value.map(spoken).join('、')
  if (typeof value === 'object') return Object.values(value).map(spoken).filter(Boolean).join(' ')
  return String(value)
}

/** The connection that spoke last; null when both did at one moment. */
export function later(conflict: Pick<Conflict, 'sides'>): string | null {
  const sorted = [...conflict.sides].sort((a, b) => new Date(b.changed_at).getTime() - new Date(a.changed_at).getTime())
  const [first, second] = sorted
  return first && second && first.changed_at !== second.changed_at ? first.connection : null
}

/** What is typed becomes what the field holds: a list where the sides are lists, a number or yes/no where they are. */
export function typed(text: string, sides: readonly { value?: unknown }[]): unknown {
  const kind = sides.map((one) => one.value).find((one) => one !== null && one !== undefined)
  const trimmed = text.trim()
  if (Array.isArray(kind)) return trimmed.split(/[,，、]\s*/).filter(Boolean)
  if (typeof kind === 'boolean') return /^(true|yes|是|1)$/i.test(trimmed)
  if (typeof kind === 'number' && /^-?\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed)
  return trimmed
}

/** Whether what a field holds can be typed on one line. */
export const typeable = (sides: readonly { value?: unknown }[]): boolean =>
  sides.every(({ value }) => typeof value !== 'object' || value === null || (Array.isArray(value) && value.every((one) => typeof one !== 'object')))

/** Open conflicts in which this system has a say, of this field where one is given. */
export function fitting(all: readonly Conflict[], connection: string, field?: string): Conflict[] {
  return all.filter((one) => one.state === 'open' && (!field || one.field === field) && one.sides.some((side) => side.connection === connection))
}
