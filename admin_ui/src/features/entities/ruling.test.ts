import { expect, it } from 'vitest'
import { choiceOf, choose, moved, needsRank, paths, ranked, speaker, type Rule } from './ruling'

const rule: Rule = { conflicts: 'newest', owners: { address: 'crm', level: 'crm' }, fields: { phone: 'manual' }, rank: ['erp'], match: null } as Rule

it('reads and writes one choice per field', () => {
  expect([choiceOf(rule, 'level'), choiceOf(rule, 'phone'), choiceOf(rule, 'name')]).toEqual(['owner:crm', 'manual', 'none'])
  const made = choose(choose(rule, 'level', 'rank'), 'phone', 'owner:erp')
  expect(made).toMatchObject({ owners: { address: 'crm', phone: 'erp' }, fields: { level: 'rank' } })
  expect(choose(made, 'phone', 'none').owners).toEqual({ address: 'crm' })
  expect(rule.owners).toEqual({ address: 'crm', level: 'crm' })
})

it('knows who speaks for a field below', () => {
  expect([speaker(rule, 'address.city'), speaker(rule, 'address'), speaker(rule, 'buyer.name')]).toEqual(['address', null, null])
})

it('orders systems, and moves one past another', () => {
  expect(ranked(rule, ['crm', 'erp', 'wms'])).toEqual(['erp', 'crm', 'wms'])
  expect(moved(rule, ['crm', 'erp', 'wms'], 'wms', -1).rank).toEqual(['erp', 'wms', 'crm'])
  expect(moved(rule, ['crm', 'erp'], 'erp', -1)).toBe(rule)
  expect(moved({ ...rule, rank: ['gone', 'crm'] }, ['crm', 'erp'], 'erp', -1).rank).toEqual(['erp', 'crm', 'gone'])
  expect([needsRank(rule), needsRank({ ...rule, fields: { a: 'rank' } })]).toEqual([false, true])
})

it('shows fields of the rule too', () => {
  expect(paths(['name', 'address.city'], rule)).toEqual(['address', 'address.city', 'level', 'name', 'phone'])
})
