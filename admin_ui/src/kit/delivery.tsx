/** One delivery with its attempts: what was sent, what came back, and what a person can do about it. */
import { RedoOutlined } from '@ant-design/icons'
import { Button, Collapse, Popconfirm } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useSay } from '@/i18n'
import { At, State } from './bits'
import { useChange } from './query'

export function DeliveryCard({ delivery }: { delivery: Schemas['DeliveryDetail'] }) {
  const { t } = useTranslation('events')
  const say = useSay()
  return (
    <section className="panel delivery" aria-label={`${delivery.connection} ${delivery.operation}`}>
      <div className="row apart">
        <div className="row"><State of={delivery.state} /><strong>{delivery.connection}</strong><code>{delivery.operation}</code><Link to={`/routes/${delivery.route}`} className="dim">{delivery.route}</Link>{delivery.target_record && <span className="dim">→ <code>{delivery.target_record}</code></span>}</div>
        <DeliveryActs delivery={delivery} />
      </div>
      {delivery.words && <p className={delivery.state === 'dead' || delivery.state === 'parked' ? 'why' : 'dim'}>{say(delivery.words)}{delivery.code && <code> {delivery.code}</code>}</p>}
      {delivery.next_at && delivery.state === 'retrying' && <p className="dim">{t('next')} <At iso={delivery.next_at} /></p>}
      {delivery.tries.length > 0 && (
        <Collapse size="small" ghost items={delivery.tries.map((one) => ({
          key: one.attempt,
          label: <span className="row"><span>{t('attempt', { n: one.attempt })}</span><At iso={one.at} /><span className="dim num">{t('took', { ms: Math.round(one.duration * 1000) })}</span>{one.words && <span className="clip" style={{ maxWidth: 480 }}>{say(one.words)}</span>}</span>,
          children: one.exchanges.map((exchange, i) => <Exchange key={i} exchange={exchange} />),
        }))} />
      )}
    </section>
  )
}

export function DeliveryActs({ delivery }: { delivery: Pick<Schemas['Delivery'], 'id' | 'state'> }) {
  const { t } = useTranslation('events')
  const { may } = useSession()
  const path = { params: { path: { id: delivery.id } } }
  const stale = ['timeline', 'failures', 'deliveries', 'overview']
  const replay = useChange(() => ask(api.POST('/api/v1/deliveries/{id}/replay', path)), { stale, done: t('replayDone') })
  const skip = useChange(() => ask(api.POST('/api/v1/deliveries/{id}/skip', path)), { stale, done: t('skipped') })
  const stuck = delivery.state === 'dead' || delivery.state === 'parked'
  if (!may('operator') || !(stuck || delivery.state === 'skipped')) return null
  return (
    <span className="row">
      {stuck && <Popconfirm title={t('skip')} description={t('skipSure')} onConfirm={() => skip.mutate(undefined)}><Button size="small" loading={skip.isPending}>{t('skip')}</Button></Popconfirm>}
      <Button size="small" type="primary" ghost icon={<RedoOutlined />} loading={replay.isPending} onClick={() => replay.mutate(undefined)}>{t('replay')}</Button>
    </span>
  )
}

function Exchange({ exchange }: { exchange: Record<string, unknown> }) {
  const text = (name: string): string => (exchange[name] === null || exchange[name] === undefined ? '' : String(exchange[name]))
  return (
    <div className="exchange">
      <div className="mono"><strong>{text('method')}</strong> {text('url')} → <strong>{text('status') || '—'}</strong></div>
      <div className="twins">{[text('request'), text('response')].map((body, i) => body && <pre key={i} tabIndex={0}>{body}</pre>)}</div>
    </div>
  )
}
