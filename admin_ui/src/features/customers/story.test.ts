import { describe, expect, it } from 'vitest'
import { sheet, story, sureness } from './story'

const record = (connection: string, record: string, state: object, more: object = {}) => ({ connection, entity: 'order', record, number: null, link: '1', version_at: null, wrote_at: null, state, ...more })

describe('the story of a customer', () => {
  const told = story({
    things: {
      order: [{ link: '1', records: [record('shop', 'T1', { number: 'T1', status: 'paid', total: '10.00', currency: 'CNY', created_at: '2026-01-02T00:00:00Z', paid_at: '2026-01-03T00:00:00Z' }), record('books', 'SO9', { number: 'SO9', total: '9.00' })] }],
      approval: [{ link: '2', records: [record('office', 'A1', {}, { version_at: '2026-01-09T00:00:00Z' })] }],
    },
    messages: [{ id: '7', connection: 'talk', operation: 'message.send', route: 'tell', event_id: '70', state: 'delivered', created_at: '2026-01-05T00:00:00Z', settled_at: null }],
    timers: [
      { id: '8', connection: 'talk', route: 'remind', event_id: '71', state: 'waiting', due_at: '2026-02-01T00:00:00Z', created_at: '2026-01-05T00:00:00Z', ended_at: null, record: 'T1', number: null },
      { id: '9', connection: 'talk', route: 'remind', event_id: '72', state: 'fired', due_at: null, created_at: '2026-01-05T00:00:00Z', ended_at: null, record: 'T1', number: null },
    ],
  } as never)

  it('is one list, newest first, and tells a timer that fired only once', () => {
    expect(told.map((one) => one.key)).toEqual(['timer/8', 'approval/2', 'message/7', 'order/1'])
  })

  it('takes the first system that says something and names all of them', () => {
    expect(told[3]).toMatchObject({ name: 'T1', status: 'paid', amount: 'CNY 10.00', systems: ['shop', 'books'], at: '2026-01-03T00:00:00Z' })
    expect(told[1]).toMatchObject({ kind: 'other', name: 'A1', at: '2026-01-09T00:00:00Z' })
  })
})

it('marks the lines in which systems differ, and not those that only one fills', () => {
  const lines = sheet([record('a', '1', { id: 'x', name: '王**', level: '金卡', address: { city: '杭州' }, tags: [] }), record('b', '2', { id: 'y', name: '王**', level: '银卡', tags: ['新', '老'] })] as never)
  expect(lines).toEqual([
    { path: 'name', values: ['王**', '王**'], differs: false }, { path: 'level', values: ['金卡', '银卡'], differs: true },
    { path: 'address.city', values: ['杭州', null], differs: false }, { path: 'tags', values: [null, '新、老'], differs: false },
  ])
})

it('says how sure in three steps', () => {
  expect([0.95, 0.8, 0.6, 0.5].map(sureness)).toEqual(['high', 'high', 'middle', 'low'])
})
