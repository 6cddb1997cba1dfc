/** Between a stored route and what its form holds. */
import type { Schemas } from '@/api/client'
import type { RouteDetail } from '@/data/catalogue'
import { exact, inSeconds, type Unit } from '@/lib/time'

export interface TargetValues {
  connection?: string
  operation?: string
  template?: string | null
  mapping?: string | null
  quota?: Quota[]
}

export type Quota = Schemas['Quota']
export type Span = { n: number; unit: Unit }

export interface StepValues {
  to: TargetValues[]
  after: Span
}

export interface UnlessValues {
  connection?: string | null
  entity?: string
  when?: string | null
}

export interface HoursValues {
  days: string[]
  from: string
  to: string
  zone: string
  holidays: string[]
  extra: string[]
}

export interface RouteValues {
  key: string
  label?: string | null
  from: { connection?: string; entity?: string }
  when?: string | null
  to: TargetValues[]
  then: StepValues[]
  after: Span
  unless: UnlessValues[]
  /** Whether there are opening hours at all; `hours` is kept while the switch is off. */
  quiet: boolean
  hours: HoursValues
  order: string
}

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const OFFICE: HoursValues = { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '09:00', to: '18:00', zone: 'Asia/Shanghai', holidays: [], extra: [] }

type Body = Schemas['Route']

export function toValues(route: RouteDetail | undefined, from?: string, to?: string): RouteValues {
  if (!route) return { key: '', from: { connection: from }, when: null, to: [{ connection: to }], then: [], after: { n: 0, unit: 's' }, unless: [], quiet: false, hours: OFFICE, order: 'hold' }
  const hours = route.hours
  return {
    key: route.key, label: route.label, from: { ...route.from }, when: route.when, to: route.to.map((one) => ({ ...one })), after: exact(Number(route.after ?? 0)), order: route.order ?? 'hold',
    then: (route.then ?? []).map((step) => ({ to: step.to.map((one) => ({ ...one })), after: exact(Number(step.after ?? 0)) })),
    unless: (route.unless ?? []).map((one) => ({ ...one })),
    quiet: Boolean(hours),
    hours: hours ? { days: [...(hours.days ?? DAYS)], from: hours.from ?? '00:00', to: hours.to ?? '24:00', zone: hours.zone ?? OFFICE.zone, holidays: [...(hours.holidays ?? [])], extra: [...(hours.extra ?? [])] } : OFFICE,
  }
}

/** Members of a stored target that the form does not know (what a recipe set) stay as they are. */
const target = ({ quota, ...one }: TargetValues): Record<string, unknown> => ({
  ...one, connection: one.connection ?? '', operation: one.operation ?? '', template: one.template || null, mapping: one.mapping || null, ...(quota?.length ? { quota } : {}),
})

/** What is sent. Members of a stored route that the form does not know stay as they are; those it emptied go. */
export function toRoute(values: RouteValues, enabled: boolean, stored?: RouteDetail): Body {
  const { etag: _etag, updated_at: _at, warnings: _warnings, then: _then, unless: _unless, hours: _hours, ...kept } = stored ?? ({} as Partial<RouteDetail>)
  return {
    ...kept,
    key: values.key,
    label: values.label?.trim() || null,
    from: { connection: values.from.connection ?? '', entity: values.from.entity ?? '' },
    when: values.when || null,
    to: values.to.map(target),
    ...(values.then?.length ? { then: values.then.map((step) => ({ to: (step.to ?? []).map(target), after: inSeconds(step.after?.n ?? 0, step.after?.unit ?? 's') })) } : {}),
    ...(values.unless?.length ? { unless: values.unless.map((one) => ({ entity: one.entity ?? '', connection: one.connection || null, when: one.when || null })) } : {}),
    ...(values.quiet && values.hours ? { hours: { ...values.hours } } : {}),
    after: inSeconds(values.after?.n ?? 0, values.after?.unit ?? 's'),
    order: values.order ?? 'hold',
    enabled,
  } as Body
}

/** A key nobody has yet: shop-order-to-erp, shop-order-to-erp-2 … */
export function suggestedKey(values: Partial<RouteValues>, taken: readonly string[]): string {
  const target = values.to?.[0]?.connection
  if (!values.from?.connection || !target) return ''
  const base = [values.from.connection, values.from.entity, 'to', target].filter(Boolean).join('-').toLowerCase().replace(/[^a-z0-9_-]+/g, '-').slice(0, 56)
  if (!taken.includes(base)) return base
  for (let n = 2; ; n++) if (!taken.includes(`${base}-${n}`)) return `${base}-${n}`
}
