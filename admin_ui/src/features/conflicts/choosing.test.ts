import { expect, it } from 'vitest'
import { fitting, later, spoken, typeable, typed, type Conflict } from './choosing'

const side = (connection: string, value: unknown, changed_at = '2026-01-01T00:00:00Z') => ({ connection, record: '1', value, changed_at })
const conflict = (more: object): Conflict => ({ id: '1', field: 'phone', state: 'open', sides: [side('a', '1'), side('b', '2')], ...more }) as unknown as Conflict

it('says values on one line', () => {
  expect([spoken(null), spoken([]), spoken(['a', 'b']), spoken({ city: '杭州', zip: null }), spoken(0), spoken(false)]).toEqual(['', '', 'a、b', '杭州', '0', 'false'])
})

it('knows who spoke last', () => {
  expect(later(conflict({ sides: [side('a', 1, '2026-01-01T00:00:01Z'), side('b', 2, '2026-01-01T00:00:00Z')] }))).toBe('a')
  expect(later(conflict({}))).toBeNull()
})

it('takes what is typed in the shape of the field', () => {
  expect(typed(' 新, 老、大 ', [side('a', ['x'])])).toEqual(['新', '老', '大'])
  expect(typed('12.5', [side('a', null), side('b', 3)])).toBe(12.5)
  expect(typed('0139', [side('a', '0138')])).toBe('0139')
  expect(typed('是', [side('a', false)])).toBe(true)
  expect(typeable([side('a', { city: 'x' })])).toBe(false)
  expect(typeable([side('a', ['x']), side('b', null)])).toBe(true)
})

it('finds what one system can decide', () => {
  const all = [conflict({}), conflict({ id: '2', field: 'level' }), conflict({ id: '3', state: 'settled' }), conflict({ id: '4', sides: [side('b', '1'), side('c', '2')] })]
  expect(fitting(all, 'a').map((one) => one.id)).toEqual(['1', '2'])
  expect(fitting(all, 'b', 'phone').map((one) => one.id)).toEqual(['1', '4'])
})
