/** One thing in all the systems that know it, as a picture: the link in the middle, its records around it. */
import { useTranslation } from 'react-i18next'
import type { Schemas } from '@/api/client'
import { useEntity } from '@/kit/bits'

type Shown = Schemas['Link']
const WIDE = 880
const CARD = { wide: 250, high: 58, gap: 16 }

export interface Spot {
  connection: string
  record: string
  number: string | null
  x: number
  y: number
  left: boolean
}

/** Records by system, half of them on either side, each side centred; a record is a card of fixed size. */
export function spots(records: Shown['records']): { spots: Spot[]; high: number } {
  const sorted = [...records].sort((a, b) => a.connection.localeCompare(b.connection) || a.record.localeCompare(b.record))
  const half = Math.ceil(sorted.length / 2)
  const step = CARD.high + CARD.gap
  const high = Math.max(140, half * step + CARD.gap)
  const placed = sorted.map((one, i): Spot => {
    const left = i < half
    const count = left ? half : sorted.length - half
    const at = left ? i : i - half
    return { connection: one.connection, record: one.record, number: one.number, left, x: left ? 0 : WIDE - CARD.wide, y: (high - count * step + CARD.gap) / 2 + at * step }
  })
  return { spots: placed, high }
}

export function Picture({ link }: { link: Shown }) {
  const { t } = useTranslation('links')
  const entity = useEntity()
  const made = spots(link.records)
  const middle = { x: WIDE / 2, y: made.high / 2 }
  const systems = new Set(link.records.map((one) => one.connection)).size
  return (
    <svg className="link-picture" viewBox={`0 0 ${WIDE} ${made.high}`} role="img" aria-label={t('picture', { entity: entity(link.entity), n: systems, records: link.records.length })}>
      {made.spots.map((one) => {
        const from = { x: one.left ? CARD.wide : WIDE - CARD.wide, y: one.y + CARD.high / 2 }
        const bend = (from.x + middle.x) / 2
        return <path key={`${one.connection}/${one.record}`} className="link-line" d={`M${from.x} ${from.y} C${bend} ${from.y} ${bend} ${middle.y} ${middle.x} ${middle.y}`} />
      })}
      <circle className="link-hub" cx={middle.x} cy={middle.y} r={46} />
      <text className="link-word" x={middle.x} y={middle.y - 2}>{entity(link.entity)}</text>
      <text className="link-id" x={middle.x} y={middle.y + 17}>{link.link}</text>
      {made.spots.map((one) => (
        <g key={`${one.connection}/${one.record}`} transform={`translate(${one.x} ${one.y})`} className="link-card">
          <title>{`${one.connection} ${one.record}`}</title>
          <rect width={CARD.wide} height={CARD.high} rx={11} />
          <text x={16} y={24} className="link-system">{one.connection}</text>
          <text x={16} y={44} className="link-record">{short(one.number ?? one.record)}</text>
        </g>
      ))}
    </svg>
  )
}

const short = (text: string): string => (text.length > 28 ? `${text.slice(0, 13)}…${text.slice(-13)}` : text)
