import { describe, expect, it } from 'vitest'
import { stepsOf } from './first-steps'
import { CENTRE, curve, HIGH, lanes, place, WIDE } from './layout'

describe('the picture', () => {
  it('has a place inside of its frame for every system, the same each time', () => {
    for (const size of [1, 2, 7, 24]) {
      const nodes = Array.from({ length: size }, (_, i) => ({ key: `k${i}`, category: i % 2 ? 'erp' : 'marketplace' }))
      const spots = place(nodes)
      expect(spots.size).toBe(size)
      for (const { x, y } of spots.values()) expect(x > 0 && x < WIDE && y > 0 && y < HIGH).toBe(true)
      expect(place([...nodes].reverse())).toEqual(spots)
    }
  })

  it('keeps routes between the same systems apart', () => {
    const edges = [{ source: 'a', target: 'b' }, { source: 'b', target: 'a' }, { source: 'a', target: 'c' }]
    expect(new Set(lanes(edges).slice(0, 2)).size).toBe(2)
    expect(curve({ x: 0, y: 0 }, { x: 10, y: 0 }, 1)).not.toBe(curve({ x: 0, y: 0 }, { x: 10, y: 0 }, 2))
    expect(curve({ x: 5, y: 5 }, { x: 5, y: 5 }, 1)).toContain(String(CENTRE.x.toFixed(1)))
  })
})

it('the tour goes from nothing to the first delivery', () => {
  const balance = { delivered: 0 } as never
  const node = { state: 'enabled' } as never
  const done = (found: Parameters<typeof stepsOf>[0]): boolean[] => stepsOf(found).map((one) => one.done)
  expect(done({ nodes: [], edges: [], balance })).toEqual([false, false, false, false])
  expect(done({ nodes: [node, node], edges: [], balance })).toEqual([true, true, false, false])
  expect(done({ nodes: [node, node], edges: [{ enabled: true } as never], balance: { delivered: 3 } as never })).toEqual([true, true, true, true])
})
