/** Small pieces: states, times, code, numbers, things to copy. */
import { CheckOutlined, CopyOutlined } from '@ant-design/icons'
import { App, Button, Tooltip } from 'antd'
import { useEffect, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { zh } from '@/i18n/common'
import { clock, day, full, span } from '@/lib/time'

type StateName = keyof (typeof zh)['state']
const TONE: Record<StateName, string> = {
  enabled: 'good', delivered: 'good', planned: 'good',
  paused: 'wait', retrying: 'wait', pending: 'busy', in_flight: 'busy', received: 'busy',
  needs_auth: 'bad', parked: 'warn', dead: 'bad',
  disabled: 'off', skipped: 'off', superseded: 'off',
}

export function State({ of, hint }: { of: string; hint?: string }) {
  const { t } = useTranslation()
  const known = of in TONE ? (of as StateName) : undefined
  const shown = <span className={`state tone-${known ? TONE[known] : 'off'}`}><i aria-hidden="true" />{known ? t(`state.${known}`) : of}</span>
  return hint ? <Tooltip title={hint}>{shown}</Tooltip> : shown
}

export function Entity({ of }: { of: string | null | undefined }) {
  const name = useEntity()
  return of ? <span className={`entity entity-${of}`}>{name(of)}</span> : <span className="dim">—</span>
}

export function useEntity(): (of: string) => string {
  const { t, i18n } = useTranslation()
  return (of) => (i18n.exists(`entity.${of}`) ? t(`entity.${of as keyof (typeof zh)['entity']}`) : of)
}

/** A time: local clock, in full on hover. */
export function At({ iso }: { iso: string | null | undefined }) {
  if (!iso) return <span className="dim">—</span>
  return <Tooltip title={full(iso)}><time dateTime={iso} className="num">{clock(iso)}</time></Tooltip>
}

/** From–until, each with its day. */
export function Window({ from, until }: { from: string; until: string }) {
  return <Tooltip title={`${full(from)} – ${full(until)}`}><span className="num">{day(from)} – {day(until)}</span></Tooltip>
}

/** How long ago, growing while one looks. */
export function Ago({ iso }: { iso: string | null | undefined }) {
  const { t } = useTranslation()
  const [, tick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 10_000)
    return () => clearInterval(timer)
  }, [])
  if (!iso) return <span className="dim">—</span>
  const { n, unit } = span((Date.now() - new Date(iso).getTime()) / 1000)
  return <Tooltip title={full(iso)}><time dateTime={iso}>{t('since', { time: `${n} ${t(`unit.${unit}`)}` })}</time></Tooltip>
}

export function useCopy(): (text: string) => Promise<void> {
  const { message } = App.useApp()
  const { t } = useTranslation()
  return async (text) => {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      const area = document.createElement('textarea') // plain http: no clipboard there
      area.value = text
      document.body.append(area)
      area.select()
      document.execCommand('copy')
      area.remove()
    }
    message.success(t('copied'))
  }
}

/** Something to be carried elsewhere: monospaced, with a button. */
export function Copyable({ text, label }: { text: string; label?: string }) {
  const copy = useCopy()
  const { t } = useTranslation()
  const [done, setDone] = useState(false)
  return (
    <span className="copyable">
      <code>{text}</code>
      <Button
        size="small"
        type="text"
        icon={done ? <CheckOutlined /> : <CopyOutlined />}
        aria-label={`${t('copy')} ${label ?? ''}`.trim()}
        onClick={() => void copy(text).then(() => setDone(true))}
      />
    </span>
  )
}

/** A line of numbers as a small picture; `label` is what a screen reader says. */
export function Spark({ of, label, wide = 120, high = 28, tone = 'good' }: { of: number[]; label: string; wide?: number; high?: number; tone?: string }) {
  const top = Math.max(1, ...of)
  const step = of.length > 1 ? wide / (of.length - 1) : wide
  const points = of.map((n, i) => `${(i * step).toFixed(1)},${(high - 2 - (n / top) * (high - 4)).toFixed(1)}`)
  return (
    <svg className={`spark tone-${tone}`} viewBox={`0 0 ${wide} ${high}`} width={wide} height={high} role="img" aria-label={label}>
      <polygon points={`0,${high} ${points.join(' ')} ${wide},${high}`} />
      <polyline points={points.join(' ')} />
    </svg>
  )
}

export function Num({ of }: { of: number }) {
  return <span className="num">{of.toLocaleString('en-US')}</span>
}

/** One fact with its name above. */
export function Fact({ name, children }: { name: ReactNode; children: ReactNode }) {
  return <div className="fact"><dt>{name}</dt><dd>{children}</dd></div>
}
