import { describe, expect, it } from 'vitest'
import { suggested, toCasting, unplayed, type Recipe } from './casting'
import { chips, everyTarget } from './flow'
import { suggestedKey, toRoute, toValues } from './route-values'

const words = (zh: string) => ({ zh, en: zh })
const recipe = {
  id: 'stock', title: words('t'), text: words('x'), notes: [], ready: true, installed: [],
  parts: [
    { key: 'shop', label: words('店'), many: true, optional: false, categories: [], fits: [{ connection: 'a', connector: 'x' }, { connection: 'b', connector: 'x' }], strangers: [] },
    { key: 'crm', label: words('c'), many: false, optional: true, categories: [], fits: [], strangers: [] },
  ],
  parameters: [
    { key: 'share', label: words('%'), type: 'number', default: 100, required: true, choices: [], per: 'shop' },
    { key: 'code', label: words('仓'), type: 'text', required: false, choices: [] },
  ],
  suggested: { parts: { shop: [{ connection: 'a' }, { connection: 'b' }] } },
} as unknown as Recipe

describe('a recipe', () => {
  it('begins with what the server suggests and sends what was chosen', () => {
    const chosen = suggested(recipe)
    expect(chosen.parts).toEqual({ shop: ['a', 'b'], crm: [] })
    const sent = toCasting(recipe, { ...chosen, own: { b: { share: 30 } } })
    expect(sent.parameters).toEqual({ share: 100 })
    expect(sent.parts).toEqual({ shop: [{ connection: 'a', operations: {}, parameters: {} }, { connection: 'b', operations: {}, parameters: { share: 30 } }] })
  })

  it('names the parts that nobody can play', () => {
    expect(unplayed(recipe)).toEqual([])
    expect(unplayed({ ...recipe, parts: recipe.parts.map((one) => ({ ...one, optional: false })) }).map((one) => one.key)).toEqual(['crm'])
  })
})

describe('a route and its form', () => {
  it('come back unchanged', () => {
    const given = { key: 'a', label: null, from: { connection: 'shop', entity: 'order' }, when: 'order.hold', to: [{ connection: 'books', operation: 'x', template: null, mapping: null }], after: 7200, order: 'skip' as const, enabled: true }
    expect(toRoute(toValues({ ...given, etag: '', updated_at: '' } as never), true)).toEqual(given)
  })

  it('keeps what the form does not know of a target', () => {
    const to = [{ connection: 'b', operation: 'x', adjust: { available: '1' }, linked: true, quota: [{ per: 'day', limit: 1 }] }]
    const stored = { key: 'a', from: { connection: 's', entity: 'order' }, to, etag: '1', updated_at: '', warnings: [] }
    expect(toRoute(toValues(stored as never), true, stored as never).to[0]).toMatchObject(to[0] ?? {})
  })

  it('keeps what the form does not know', () => {
    const stored = { key: 'a', from: { connection: 's', entity: 'order' }, to: [{ connection: 'b', operation: 'x' }], then: [{ to: [], after: 60 }], etag: '1', updated_at: '', warnings: [] }
    const made = toRoute(toValues(stored as never), false, stored as never) as unknown as Record<string, unknown>
    expect(made.then).toEqual(stored.then)
    expect('etag' in made || 'warnings' in made || 'updated_at' in made).toBe(false)
  })

  it('keep steps, quotas, hours and what makes it pointless, and forget what the form emptied', () => {
    const quota = [{ per: 'day', limit: 2, over: 'skip', zone: 'Asia/Shanghai' }]
    const stored = {
      key: 'a', label: null, from: { connection: 's', entity: 'order' }, when: null, to: [{ connection: 'b', operation: 'x', template: null, mapping: null, quota }], after: 259200, order: 'supersede', enabled: true,
      then: [{ to: [{ connection: 'c', operation: 'y', template: 't', mapping: null }], after: 60 }], unless: [{ entity: 'order', connection: null, when: 'order.hold' }],
      hours: { days: ['mon'], from: '09:00', to: '18:00', zone: 'UTC', holidays: ['2026-10-01'], extra: [] },
    }
    const values = toValues(stored as never)
    expect(values.after).toEqual({ n: 3, unit: 'd' })
    expect(toRoute(values, true, stored as never)).toEqual(stored)
    const emptied = toRoute({ ...values, then: [], unless: [], quiet: false, to: [{ ...values.to[0], quota: [] }] }, true, stored as never) as unknown as Record<string, unknown>
    expect(['then', 'unless', 'hours'].some((name) => name in emptied)).toBe(false)
    expect(emptied.to).toEqual([{ connection: 'b', operation: 'x', template: null, mapping: null }])
  })

  it('say what a line on the canvas cannot', () => {
    const route = { to: [{ connection: 'b', operation: 'x' }], then: [{ to: [{ connection: 'c', operation: 'y' }, { connection: 'b', operation: 'z' }], after: 0 }], after: 7200, unless: [{ entity: 'order' }, { entity: 'order' }], hours: { from: '09:00', to: '18:00' } }
    expect(chips(route as never)).toEqual([{ kind: 'wait', n: 2, unit: 'h' }, { kind: 'hours', from: '09:00', to: '18:00' }, { kind: 'unless', entities: ['order'] }, { kind: 'steps', n: 1 }])
    expect(everyTarget(route as never).map(({ target, step }) => `${step} ${target.connection}`)).toEqual(['1 b', '2 c', '2 b'])
    expect(chips({ to: [], after: 0 } as never)).toEqual([])
  })

  it('gets a key that nobody has', () => {
    const values = { from: { connection: 'shop', entity: 'after_sale' }, to: [{ connection: 'books' }] }
    expect(suggestedKey(values, [])).toBe('shop-after_sale-to-books')
    expect(suggestedKey(values, ['shop-after_sale-to-books', 'shop-after_sale-to-books-2'])).toBe('shop-after_sale-to-books-3')
    expect(suggestedKey({ from: {} }, [])).toBe('')
  })
})
