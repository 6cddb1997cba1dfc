import { describe, expect, it } from 'vitest'
import { stepsOf } from './first-steps'
import { curve, frame, lanes, place, WIDE } from './layout'

const CARD = { wide: 176, high: 54 }
const CENTRE = { x: 380, y: 215 }

describe('the picture', () => {
  it('has a place inside of its frame for every system, the same each time', () => {
    for (let size = 1; size <= 40; size += 1) {
      const nodes = Array.from({ length: size }, (_, i) => ({ key: `k${i}`, category: i % 2 ? 'erp' : 'marketplace' }))
      const spots = place(nodes)
      expect(spots.size).toBe(size)
      const { high } = frame(size)
      const those = [...spots.values()]
      for (const { x, y } of those) expect(x > 0 && x < WIDE && y > 0 && y < high).toBe(true)
      const over = those.flatMap((one, i) => those.slice(i + 1).filter((two) => Math.abs(one.x - two.x) < CARD.wide && Math.abs(one.y - two.y) < CARD.high))
      expect(over, `${size} systems`).toEqual([])
      expect(place([...nodes].reverse())).toEqual(spots)
    }
  })

  it('keeps routes between the same systems apart', () => {
    const edges = [{ source: 'a', target: 'b' }, { source: 'b', target: 'a' }, { source: 'a', target: 'c' }]
    expect(new Set(lanes(edges).slice(0, 2)).size).toBe(2)
    expect(curve({ x: 0, y: 0 }, { x: 10, y: 0 }, CENTRE, 1)).not.toBe(curve({ x: 0, y: 0 }, { x: 10, y: 0 }, CENTRE, 2))
    expect(curve({ x: 5, y: 5 }, { x: 5, y: 5 }, CENTRE, 1)).toContain(String(CENTRE.x.toFixed(1)))
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
