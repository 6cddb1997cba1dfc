/** The living picture: systems around the hub, routes between them, dots that move as fast as events come. */
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import type { Schemas } from '@/api/client'
import { useSay } from '@/i18n'
import { curve, frame, lanes, place, WIDE } from './layout'

type Node = Schemas['Node']
type Edge = Schemas['Edge']

export function Picture({ nodes, edges }: { nodes: Node[]; edges: Edge[] }) {
  const { t } = useTranslation('overview')
  const { t: common } = useTranslation()
  const say = useSay()
  const navigate = useNavigate()
  const spots = place(nodes)
  const { high, centre } = frame(nodes.length)
  const shown = edges.filter((one) => spots.has(one.source) && spots.has(one.target))
  const side = lanes(shown)
  const go = (to: string) => ({
    role: 'link',
    tabIndex: 0,
    onClick: () => void navigate(to),
    onKeyDown: (event: { key: string }) => {
      if (event.key === 'Enter') void navigate(to)
    },
  })
  return (
    <svg viewBox={`0 0 ${WIDE} ${high}`} className="picture" role="group" aria-label={t('pictureLabel', { nodes: nodes.length, edges: shown.length })}>
      {shown.map((one, i) => {
        const from = spots.get(one.source)
        const to = spots.get(one.target)
        if (!from || !to) return null
        const path = curve(from, to, centre, side[i] ?? 0)
        const dots = one.enabled && one.per_minute > 0 ? Math.min(4, 1 + Math.floor(Math.log10(one.per_minute + 1) * 2)) : 0
        const name = `${one.label || one.route} · ${t(`health.${one.health as 'good'}`)} · ${common('perMinute', { rate: one.per_minute })}`
        return (
          <g key={`${one.route}/${i}`} className={`edge health-${one.health}`} aria-label={name} {...go(`/routes/${one.route}`)}>
            <title>{name}</title>
            <path d={path} className="edge-touch" />
            <path d={path} className="edge-line" style={{ strokeWidth: Math.min(5, 1.6 + Math.log10(one.per_minute + 1) * 1.4) }} />
            {Array.from({ length: dots }, (_, n) => (
              <circle key={n} r={3.4} className="edge-dot">
                <animateMotion dur={`${2.6 + (i % 3) * 0.5}s`} begin={`${-(n * 2.6) / dots - i * 0.4}s`} repeatCount="indefinite" path={path} />
              </circle>
            ))}
          </g>
        )
      })}
      <g className="picture-hub" aria-hidden="true">
        <circle cx={centre.x} cy={centre.y} r={34} />
        <text x={centre.x} y={centre.y + 6}>{t('hub')}</text>
      </g>
      {nodes.map((one) => {
        const at = spots.get(one.key)
        if (!at) return null
        const label = say(one.label)
        const state = `${common(`state.${one.state as 'enabled'}`)}${one.sandbox ? ` · ${t('sandbox')}` : ''}`
        return (
          <g key={one.key} className={`node node-${one.state}${one.sandbox ? ' node-sandbox' : ''}`} transform={`translate(${at.x} ${at.y})`} aria-label={`${one.key} ${label} ${state}`} {...go(`/connections/${one.key}`)}>
            <title>{`${label} · ${state}`}</title>
            <rect x={-88} y={-27} width={176} height={54} rx={14} />
            <circle cx={-70} cy={-8} r={4.5} className="node-lamp" />
            <text x={-58} y={-3} className="node-name">{short(label, 8, 14)}</text>
            <text x={-58} y={15} className="node-key">{short(`${one.key}${one.per_minute ? ` · ${common('perMinute', { rate: one.per_minute })}` : ''}`, 18, 21)}</text>
          </g>
        )
      })}
    </svg>
  )
}

function short(text: string, wide: number, narrow: number): string {
  const limit = /[\u4e00-\u9fff]/.test(text) ? wide : narrow
  return text.length > limit ? `${text.slice(0, limit)}…` : text
}
