import { describe, expect, it } from 'vitest'
import type { Connection, Connector } from '@/data/catalogue'
import { choices, RECIPES } from './recipe-list'
import { suggestedKey, toRoute, toValues } from './route-values'

const connection = (key: string, connector: string): Connection => ({ key, connector, state: 'enabled', config: {}, secrets: [], etag: '', created_at: '', updated_at: '' }) as unknown as Connection
const connector = (id: string, category: string, entities: string[], operations: [name: string, kind: string, entity: string][]): Connector =>
  ({ id, category, doors: [{ entities }], operations: operations.map(([name, kind, entity]) => ({ name, kind, entity, mapping: null, target: true })) }) as unknown as Connector
const mapping = (of: string, name: string) => ({ connector: of, name, entity: name, writes: true, reads: true, shipped: true, version: 0 })

describe('recipes', () => {
  const connectors = new Map([['s', connector('s', 'marketplace', ['order'], [['ship', 'act', 'shipment']])], ['e', connector('e', 'erp', ['shipment'], [['order.act', 'act', 'order'], ['order.save', 'write', 'order']])]])
  const connections = [connection('shop', 's'), connection('books', 'e')]

  it('find what fits by kind of system and by mapping', () => {
    const paid = RECIPES.find((one) => one.id === 'paid')
    if (!paid) throw new Error('gone')
    const found = choices(paid, connections, connectors, [mapping('e', 'order')])
    expect(found.sources.map((one) => one.key)).toEqual(['shop'])
    expect(found.targets.map((one) => one.operation.name)).toEqual(['order.save'])
    expect(choices(paid, connections, connectors, []).targets).toEqual([])
  })
})

describe('a route and its form', () => {
  it('come back unchanged', () => {
    const given = { key: 'a', label: null, from: { connection: 'shop', entity: 'order' }, when: 'order.hold', to: [{ connection: 'books', operation: 'x', template: null, mapping: null }], after: 7200, order: 'skip' as const, enabled: true }
    expect(toRoute(toValues({ ...given, etag: '', updated_at: '' } as never), true)).toEqual(given)
  })

  it('keeps what the form does not know', () => {
    const stored = { key: 'a', from: { connection: 's', entity: 'order' }, to: [{ connection: 'b', operation: 'x' }], then: [{ to: [], after: 60 }], etag: '1', updated_at: '', warnings: [] }
    const made = toRoute(toValues(stored as never), false, stored as never) as unknown as Record<string, unknown>
    expect(made.then).toEqual(stored.then)
    expect('etag' in made || 'warnings' in made || 'updated_at' in made).toBe(false)
  })

  it('gets a key that nobody has', () => {
    const values = { from: { connection: 'shop', entity: 'after_sale' }, to: [{ connection: 'books' }] }
    expect(suggestedKey(values, [])).toBe('shop-after_sale-to-books')
    expect(suggestedKey(values, ['shop-after_sale-to-books', 'shop-after_sale-to-books-2'])).toBe('shop-after_sale-to-books-3')
    expect(suggestedKey({ from: {} }, [])).toBe('')
  })
})
