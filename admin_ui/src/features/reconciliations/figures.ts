/** What a comparison says in numbers, and forms turned into requests. Pure. */
import type { Schemas } from '@/api/client'
import { exact, inSeconds, type Unit } from '@/lib/time'

export type Run = Schemas['Reconciliation']
export type Plan = Schemas['ScheduleDetail']
export type FindingKind = 'missing' | 'extra' | 'different'
export const KINDS: FindingKind[] = ['missing', 'extra', 'different']
export const UNDER_WAY: ReadonlySet<string> = new Set(['waiting', 'running'])

/** How many findings of a kind there are, in some states or in all. */
export function tally(run: Pick<Run, 'found'>, kind: FindingKind, ...states: string[]): number {
  const there = run.found[kind] ?? {}
  return Object.entries(there).reduce((sum, [state, n]) => sum + (states.length === 0 || states.includes(state) ? n : 0), 0)
}

export interface Mending {
  total: number
  repaired: number
  busy: number
  failed: number
}

/** How far the repairs are; null when nobody asked for one. */
export function mending(run: Pick<Run, 'found'>): Mending | null {
  const sum = (...states: string[]): number => KINDS.reduce((all, kind) => all + tally(run, kind, ...states), 0)
  const made = { repaired: sum('repaired'), busy: sum('repairing'), failed: sum('failed') }
  const total = made.repaired + made.busy + made.failed
  return total > 0 ? { total, ...made } : null
}

export interface Asked {
  left?: string
  right?: string
  entity?: string
  span: 'day' | 'week' | 'month' | 'custom'
  /** ISO times, for `custom`. */
  range?: [string, string]
  ignore?: string[]
  grace?: number
}

const HOURS = { day: 24, week: 7 * 24, month: 30 * 24 } as const

/** The request for a comparison made once. */
export function toStart(asked: Asked): Schemas['ReconciliationStart'] {
  const window = asked.span === 'custom' ? { since: asked.range?.[0], until: asked.range?.[1] } : { hours: HOURS[asked.span] }
  return {
    left: { connection: asked.left ?? '' }, right: { connection: asked.right ?? '' }, entity: asked.entity, ...window, ignore: asked.ignore ?? [], grace: asked.grace ?? 60,
  } as Schemas['ReconciliationStart']
}

export interface PlanValues {
  key: string
  label?: string
  left?: string
  right?: string
  entity?: string
  mode: 'at' | 'every'
  at: string[]
  every: { n: number; unit: Unit }
  window: { n: number; unit: Unit }
  ignore: string[]
  enabled: boolean
}

export const TIME = /^([01]\d|2[0-3]):[0-5]\d$/

export function toPlanValues(plan: Plan | undefined): PlanValues {
  if (!plan) return { key: '', mode: 'at', at: ['02:30'], every: { n: 1, unit: 'h' }, window: { n: 1, unit: 'd' }, ignore: [], enabled: true }
  return {
    key: plan.key, label: plan.label ?? undefined, left: plan.left.connection, right: plan.right.connection, entity: plan.entity, mode: plan.every ? 'every' : 'at', at: plan.at?.length ? plan.at : ['02:30'],
    every: exact(Number(plan.every ?? 3600)), window: exact(Number(plan.window ?? 86400)), ignore: plan.ignore ?? [], enabled: plan.enabled ?? true,
  }
}

/** What is stored; members that the form does not know stay as they are. */
export function toPlan(values: PlanValues, stored?: Plan): Schemas['Schedule'] {
  const { next_at: _next, ...kept } = stored ?? ({} as Partial<Plan>)
  const side = (now: string | undefined, before: Plan['left'] | undefined) => (before?.connection === now ? before : { connection: now ?? '' })
  return {
    ...kept, key: values.key, label: values.label?.trim() || null, left: side(values.left, stored?.left), right: side(values.right, stored?.right), entity: values.entity ?? '',
    at: values.mode === 'at' ? values.at : [], every: values.mode === 'every' ? inSeconds(values.every.n, values.every.unit) : null, window: inSeconds(values.window.n, values.window.unit), ignore: values.ignore ?? [], enabled: values.enabled,
  } as Schemas['Schedule']
}

export function suggestedPlan(values: Partial<PlanValues>, taken: readonly string[]): string {
  if (!values.left || !values.right || !values.entity) return ''
  const base = `${values.entity}-${values.left}-${values.right}`.toLowerCase().replace(/[^a-z0-9_-]+/g, '-').slice(0, 56)
  if (!taken.includes(base)) return base
  for (let n = 2; ; n++) if (!taken.includes(`${base}-${n}`)) return `${base}-${n}`
}

/** Where the findings can be had as a file. */
export function exportPath(id: string, format: 'csv' | 'xlsx', kind?: FindingKind, reveal?: boolean): string {
  const query = new URLSearchParams({ format, ...(kind ? { kind } : {}), ...(reveal ? { reveal: 'true' } : {}) })
  return `/api/v1/reconciliations/${id}/export?${query.toString()}`
}
