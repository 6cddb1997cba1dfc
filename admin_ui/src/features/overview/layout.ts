/** Where systems stand in the picture: kinds of systems side by side, a few around the hub, many on both sides of it. */
export interface Spot {
  x: number
  y: number
}

export const WIDE = 760
const HIGH = 430
/** So many fit around the hub before their cards would lie on each other. */
const AROUND = 8
const STEP = 66
const ORDER = ['marketplace', 'mall', 'generic', 'erp', 'wms', 'crm', 'oa', 'messaging']

/** How high the picture is, and where the hub stands in it. */
export function frame(systems: number): { high: number; centre: Spot } {
  const high = systems > AROUND ? Math.max(HIGH, Math.ceil(systems / 2) * STEP + 40) : HIGH
  return { high, centre: { x: WIDE / 2, y: high / 2 } }
}

export function place(nodes: { key: string; category: string }[]): Map<string, Spot> {
  const rank = (category: string): number => (ORDER.includes(category) ? ORDER.indexOf(category) : ORDER.length)
  const sorted = [...nodes].sort((a, b) => rank(a.category) - rank(b.category) || a.key.localeCompare(b.key))
  const { high, centre } = frame(sorted.length)
  const wide = WIDE / 2 - 96
  if (sorted.length > AROUND) {
    const left = Math.ceil(sorted.length / 2)
    return new Map(sorted.map((one, i) => [one.key, i < left ? beside(i, left, -wide) : beside(i - left, sorted.length - left, wide)]))
  }
  return new Map(
    sorted.map((one, i) => {
      const turn = -Math.PI + ((i + (sorted.length % 2 ? 0 : 0.5)) / sorted.length) * 2 * Math.PI
      return [one.key, { x: centre.x + wide * Math.cos(turn), y: centre.y + (high / 2 - 52) * Math.sin(turn) }]
    }),
  )

  /** A row of one side; the sides are bent a little around the hub. */
  function beside(row: number, rows: number, reach: number): Spot {
    const off = row - (rows - 1) / 2
    return { x: centre.x + reach * (1 - 0.16 * ((2 * off) / rows) ** 2), y: centre.y + off * STEP }
  }
}

/** The way of a route: a curve from one system towards the hub and on to the other; `lane` keeps several apart. */
export function curve(from: Spot, to: Spot, centre: Spot, lane: number): string {
  const dx = to.x - from.x
  const dy = to.y - from.y
  const length = Math.hypot(dx, dy) || 1
  const side = lane * 26
  const bend = { x: centre.x + (-dy / length) * side, y: centre.y + (dx / length) * side }
  return `M${from.x.toFixed(1)} ${from.y.toFixed(1)} Q${bend.x.toFixed(1)} ${bend.y.toFixed(1)} ${to.x.toFixed(1)} ${to.y.toFixed(1)}`
}

/** Lanes for routes that share a pair of systems: 0.6, -0.6, 1.4 …, told apart by direction. */
export function lanes(edges: { source: string; target: string }[]): number[] {
  const seen = new Map<string, number>()
  return edges.map((one) => {
    const pair = [one.source, one.target].sort().join('→')
    const n = seen.get(pair) ?? 0
    seen.set(pair, n + 1)
    return 0.7 + n * 0.9
  })
}
