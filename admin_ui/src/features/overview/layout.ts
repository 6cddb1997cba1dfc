/** Where systems stand in the picture: on an ellipse around the hub, kinds of systems side by side. */
export interface Spot {
  x: number
  y: number
}

export const WIDE = 760
export const HIGH = 430
export const CENTRE: Spot = { x: WIDE / 2, y: HIGH / 2 }
const ORDER = ['marketplace', 'mall', 'generic', 'erp', 'wms', 'crm', 'oa', 'messaging']

export function place(nodes: { key: string; category: string }[]): Map<string, Spot> {
  const rank = (category: string): number => (ORDER.includes(category) ? ORDER.indexOf(category) : ORDER.length)
  const sorted = [...nodes].sort((a, b) => rank(a.category) - rank(b.category) || a.key.localeCompare(b.key))
  const wide = WIDE / 2 - 96
  const high = HIGH / 2 - 52
  return new Map(
    sorted.map((one, i) => {
      const turn = -Math.PI + ((i + (sorted.length % 2 ? 0 : 0.5)) / sorted.length) * 2 * Math.PI
      return [one.key, { x: CENTRE.x + wide * Math.cos(turn), y: CENTRE.y + high * Math.sin(turn) }]
    }),
  )
}

/** The way of a route: a curve from one system towards the hub and on to the other; `lane` keeps several apart. */
export function curve(from: Spot, to: Spot, lane: number): string {
  const dx = to.x - from.x
  const dy = to.y - from.y
  const length = Math.hypot(dx, dy) || 1
  const side = lane * 26
  const bend = { x: CENTRE.x + (-dy / length) * side, y: CENTRE.y + (dx / length) * side }
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
