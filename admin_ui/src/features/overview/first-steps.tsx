/** The first-run tour: four steps from an empty hub to the first record delivered; it goes by itself when they are done. */
import { CheckCircleFilled } from '@ant-design/icons'
import { Button, Progress } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import type { Schemas } from '@/api/client'

const KEPT = 'shuniu.first-steps'

export interface Step {
  id: 'source' | 'target' | 'route' | 'delivered'
  done: boolean
  to: string
}

export function stepsOf(found: Pick<Schemas['Overview'], 'nodes' | 'edges' | 'balance'>): Step[] {
  const running = found.nodes.filter((one) => one.state === 'enabled').length
  return [
    { id: 'source', done: running >= 1, to: '/connections/new' },
    { id: 'target', done: running >= 2, to: '/connections/new' },
    { id: 'route', done: found.edges.some((one) => one.enabled), to: '/routes/recipes' },
    { id: 'delivered', done: found.balance.delivered > 0 && found.edges.length > 0, to: '/events' },
  ]
}

export function FirstSteps({ found }: { found: Schemas['Overview'] }) {
  const { t } = useTranslation('overview')
  const [away, setAway] = useState(() => localStorage.getItem(KEPT) === 'away')
  const steps = stepsOf(found)
  const next = steps.find((one) => !one.done)
  if (away || !next) return null
  return (
    <section className="panel first-steps" aria-labelledby="first-steps-title">
      <h2 id="first-steps-title">{t('tour')}<Button type="text" size="small" onClick={() => { localStorage.setItem(KEPT, 'away'); setAway(true) }}>{t('tourAway')}</Button></h2>
      <Progress percent={(steps.filter((one) => one.done).length / steps.length) * 100} showInfo={false} aria-label={t('tour')} />
      <ol>
        {steps.map((one, i) => (
          <li key={one.id} className={one.done ? 'done' : one === next ? 'next' : ''}>
            <span className="first-mark" aria-hidden="true">{one.done ? <CheckCircleFilled /> : i + 1}</span>
            <div><strong>{t(`step.${one.id}.title`)}</strong><p>{t(`step.${one.id}.text`)}</p>{one === next && <Link to={one.to}><Button type="primary" size="small">{t(`step.${one.id}.act`)}</Button></Link>}</div>
          </li>
        ))}
      </ol>
    </section>
  )
}
