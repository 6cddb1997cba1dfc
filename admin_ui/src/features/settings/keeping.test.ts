import { expect, it } from 'vitest'
import { progress, shorter, size } from './keeping'

const kept = { raw: 180, canonicals: 180, attempts: 90, exchanges: null, dead_letters: 365, quarantine: 30, comparisons: 180, audit: null }

it('names only what gets shorter; for ever is the longest', () => {
  expect(shorter(kept, { ...kept, raw: 181, attempts: null })).toEqual([])
  expect(shorter(kept, { ...kept, raw: 179, audit: 36500 })).toEqual(['raw', 'audit'])
})

it('writes sizes and how far a rotation is', () => {
  expect([0, 999, 1500, 12_400_000, 3_200_000_000].map(size)).toEqual(['0 B', '999 B', '1.5 KB', '12 MB', '3.2 GB'])
  const rows = (n: number) => ({ id: 'a', state: 'leaving' as const, master: 'm', rows: n })
  expect([progress([rows(4), rows(0)], 4), progress([rows(3), rows(1)], 3), progress([], 0)]).toEqual([0, 25, 100])
  expect(progress([{ ...rows(9), state: 'coming' }], 0)).toBe(0)
})
