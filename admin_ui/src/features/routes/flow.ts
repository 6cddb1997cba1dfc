/** What a route does beyond its first targets, for pictures of it. Pure. */
import type { RouteDetail } from '@/data/catalogue'
import { exact, type Unit } from '@/lib/time'

export type Chip = { kind: 'wait'; n: number; unit: Unit } | { kind: 'hours'; from: string; to: string } | { kind: 'unless'; entities: string[] } | { kind: 'steps'; n: number }
type Target = RouteDetail['to'][number]

/** Every target with the step it belongs to; the first is 1. */
export function everyTarget(route: Pick<RouteDetail, 'to' | 'then'>): { target: Target; step: number }[] {
  return [...route.to.map((target) => ({ target, step: 1 })), ...(route.then ?? []).flatMap((step, i) => step.to.map((target) => ({ target, step: i + 2 })))]
}

export function chips(route: Pick<RouteDetail, 'after' | 'hours' | 'unless' | 'then'>): Chip[] {
  const found: Chip[] = []
  const after = Number(route.after ?? 0)
  if (after > 0) found.push({ kind: 'wait', ...exact(after) })
  if (route.hours) found.push({ kind: 'hours', from: route.hours.from ?? '00:00', to: route.hours.to ?? '24:00' })
  if ((route.unless ?? []).length > 0) found.push({ kind: 'unless', entities: [...new Set((route.unless ?? []).map((one) => one.entity))] })
  if ((route.then ?? []).length > 0) found.push({ kind: 'steps', n: (route.then ?? []).length })
  return found
}
