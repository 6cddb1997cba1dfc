import { describe, expect, it } from 'vitest'
import { exportPath, mending, suggestedPlan, tally, toPlan, toPlanValues, toStart, type Plan } from './figures'

const found = { missing: { open: 2, repaired: 1 }, different: { repairing: 3, failed: 1, ignored: 5 } }

it('counts findings by kind and state', () => {
  expect([tally({ found }, 'missing'), tally({ found }, 'missing', 'open', 'failed'), tally({ found }, 'extra')]).toEqual([3, 2, 0])
})

it('says how far the repairs are, and nothing when nobody asked', () => {
  expect(mending({ found })).toEqual({ total: 5, repaired: 1, busy: 3, failed: 1 })
  expect(mending({ found: { missing: { open: 4, ignored: 1 } } })).toBeNull()
})

describe('a comparison made once', () => {
  it('asks for hours back, or from and until', () => {
    expect(toStart({ left: 'a', right: 'b', entity: 'order', span: 'week' })).toMatchObject({ left: { connection: 'a' }, hours: 168, grace: 60 })
    const chosen = toStart({ left: 'a', right: 'b', entity: 'order', span: 'custom', range: ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'] })
    expect(chosen).toMatchObject({ since: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z' })
    expect('hours' in chosen).toBe(false)
  })
})

describe('a schedule and its form', () => {
  const plan = { key: 'k', label: null, left: { connection: 'a', list: 'x.list' }, right: { connection: 'b' }, entity: 'order', at: ['02:30', '14:00'], every: null, window: 7200, ignore: ['tags'], fields: ['total'], tolerance: { total: '0.01' }, enabled: false, zone: 'Asia/Shanghai', grace: 60, next_at: null } as unknown as Plan

  it('come back unchanged, with what the form does not know', () => {
    const { next_at: _next, ...stored } = plan
    expect(toPlan(toPlanValues(plan), plan)).toEqual(stored)
  })

  it('forget the times of day when it is made every so often', () => {
    expect(toPlan({ ...toPlanValues(plan), mode: 'every', every: { n: 2, unit: 'h' } }, plan)).toMatchObject({ at: [], every: 7200 })
  })

  it('forgets the operations of a side that is another system now', () => {
    expect(toPlan({ ...toPlanValues(plan), left: 'c' }, plan).left).toEqual({ connection: 'c' })
  })

  it('gets a key nobody has', () => {
    expect(suggestedPlan({ left: 'a', right: 'b', entity: 'order' }, ['order-a-b'])).toBe('order-a-b-2')
    expect(suggestedPlan({ left: 'a' }, [])).toBe('')
  })
})

it('names the file that is wanted', () => {
  expect(exportPath('7', 'xlsx', 'missing')).toBe('/api/v1/reconciliations/7/export?format=xlsx&kind=missing')
})
