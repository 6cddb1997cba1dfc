import { expect, it } from 'vitest'
import { spots } from './picture'

const record = (connection: string, record: string) => ({ connection, record, entity: 'order', link: '1', number: null, version_at: null, wrote_at: null })

it('puts every record somewhere of its own, half on either side', () => {
  const made = spots(['d', 'a', 'c', 'b', 'e'].map((key) => record(key, '1')))
  expect(made.spots.map((one) => [one.connection, one.left])).toEqual([['a', true], ['b', true], ['c', true], ['d', false], ['e', false]])
  expect(new Set(made.spots.map((one) => `${one.x}/${one.y}`)).size).toBe(5)
  expect(made.spots.every((one) => one.y >= 0 && one.y + 58 <= made.high)).toBe(true)
})

it('centres a single record', () => {
  const made = spots([record('a', '1')])
  expect(made.high).toBe(140)
  expect(made.spots[0]?.y).toBe(41)
})
