/** The classes of data that are kept for a while, and what a change of it takes away. */
import type { Schemas } from '@/api/client'

export type Kept = Schemas['Retention']
export type Class = keyof Kept

export const CLASSES: Class[] = ['raw', 'canonicals', 'attempts', 'exchanges', 'dead_letters', 'quarantine', 'comparisons', 'audit']
/** Days to begin with where something was kept for ever. */
export const START = 365

/** The classes that are kept for a shorter time afterwards. */
export function shorter(before: Kept, after: Kept): Class[] {
  const long = (days: number | null | undefined): number => days ?? Infinity
  return CLASSES.filter((name) => long(after[name]) < long(before[name]))
}

const STEPS = ['B', 'KB', 'MB', 'GB', 'TB']

/** Bytes as people read them. */
export function size(bytes: number): string {
  const step = Math.min(STEPS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)))
  const n = bytes / 1000 ** step
  return `${n < 10 && step > 0 ? n.toFixed(1) : Math.round(n)} ${STEPS[step]}`
}

/** How far a rotation is, 0 to 100: rows that hold something sealed, and those that wait for the new key. */
export function progress(keys: Schemas['DataKey'][], left: number): number {
  if (keys.some((one) => one.state === 'coming')) return 0
  const all = keys.reduce((sum, one) => sum + one.rows, 0)
  return all === 0 ? 100 : Math.round(((all - Math.min(left, all)) / all) * 100)
}
