/** Between a stored route and what its form holds. */
import type { Schemas } from '@/api/client'
import type { RouteDetail } from '@/data/catalogue'
import { exact, inSeconds, type Unit } from '@/lib/time'

export interface TargetValues {
  connection?: string
  operation?: string
  template?: string | null
  mapping?: string | null
}

export interface RouteValues {
  key: string
  label?: string | null
  from: { connection?: string; entity?: string }
  when?: string | null
  to: TargetValues[]
  after: { n: number; unit: Unit }
  order: string
}

type Body = Schemas['Route']

export function toValues(route: RouteDetail | undefined, from?: string, to?: string): RouteValues {
  if (!route) return { key: '', from: { connection: from }, when: null, to: [{ connection: to }], after: { n: 0, unit: 's' }, order: 'hold' }
  return {
    key: route.key, label: route.label, from: { ...route.from }, when: route.when, to: route.to.map((one) => ({ ...one })), after: exact(Number(route.after ?? 0)), order: route.order ?? 'hold',
  }
}

/** What is sent. Members of a stored route that the form does not know stay as they are. */
export function toRoute(values: RouteValues, enabled: boolean, stored?: RouteDetail): Body {
  const { etag: _etag, updated_at: _at, warnings: _warnings, ...kept } = stored ?? ({} as Partial<RouteDetail>)
  return {
    ...kept,
    key: values.key,
    label: values.label?.trim() || null,
    from: { connection: values.from.connection ?? '', entity: values.from.entity ?? '' },
    when: values.when || null,
    to: values.to.map((one) => ({ ...one, connection: one.connection ?? '', operation: one.operation ?? '', template: one.template || null, mapping: one.mapping || null })),
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
