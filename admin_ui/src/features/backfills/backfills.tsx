/** Backfills: history being read, how far it is, and what could still be imported. */
import '@/style/data.css'
import { HistoryOutlined, PauseOutlined, PlayCircleOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Popconfirm, Progress } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useConnections, useConnectorsOf } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Entity, Window } from '@/kit/bits'
import { List } from '@/kit/list'
import { Nothing, Page } from '@/kit/page'
import { useChange, usePaged, whole } from '@/kit/query'
import { day } from '@/lib/time'
import { Start } from './start'

type Backfill = Schemas['Backfill']
export type Offer = Schemas['BackfillOffer']
const BUSY: ReadonlySet<string> = new Set(['waiting', 'running'])
const TONE: Record<Backfill['state'], string> = { waiting: 'wait', running: 'busy', paused: 'wait', done: 'good', failed: 'bad', cancelled: 'off' }

export default function BackfillsPage() {
  const { t } = useTranslation('backfills')
  const { may } = useSession()
  const say = useSay()
  const [starting, setStarting] = useState<Offer | 'any' | null>(null)
  const offers = useQuery({ queryKey: ['backfill-offers'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/backfills/offers', { params: { query: { limit: 200, cursor } } }))) })
  const pages = usePaged<Backfill>(['backfills'], (cursor) => ask(api.GET('/api/v1/backfills', { params: { query: { limit: 30, cursor } } })), (items) => (items.some((one) => BUSY.has(one.state)) ? 1500 : false))
  const connections = useConnections().data ?? []
  const connectors = useConnectorsOf(connections.map((one) => one.connector))
  const sourceName = (one: Backfill): string => say(connectors.get(connections.find((each) => each.key === one.connection)?.connector ?? '')?.doors.find((door) => door.name === one.source)?.label) || one.source
  const operator = may('operator')
  return (
    <Page title={t('title')} lead={t('lead')} actions={operator && <Button type="primary" icon={<HistoryOutlined />} onClick={() => setStarting('any')}>{t('start')}</Button>}>
      {(offers.data ?? []).length > 0 && (
        <section className="section">
          <h2>{t('offers')}<small className="dim">{t('offersHint')}</small></h2>
          <div className="cards offers">
            {(offers.data ?? []).map((one) => (
              <article key={`${one.connection}/${one.source}`} className="card still">
                <div className="row apart"><strong>{one.connection}</strong><Entity of={one.entity} /></div>
                <p>{say(one.label)}</p>
                <p className="dim">{t('offer', { when: day(one.covered_since).slice(0, -6) })}</p>
                {operator && <Button size="small" className="recipe-foot" onClick={() => setStarting(one)} aria-label={`${t('take')} ${one.connection} ${say(one.label)}`}>{t('take')}</Button>}
              </article>
            ))}
          </div>
        </section>
      )}
      <section className="section">
        <h2>{t('list')}</h2>
        <List<Backfill> pages={pages} label={t('list')} rowKey={(one) => one.id} empty={<Nothing title={t('none')} hint={t('noneHint')}>{operator && <Button onClick={() => setStarting('any')}>{t('start')}</Button>}</Nothing>} columns={[
          { title: t('what'), key: 'what', render: (_, one) => <span className="stacked"><Link to={`/connections/${one.connection}`}><strong>{one.connection}</strong></Link><span className="dim">{sourceName(one)}</span></span> },
          { title: t('span'), key: 'span', render: (_, one) => <span className="dim"><Window from={one.since} until={one.until} /></span> },
          { title: t('progress'), key: 'progress', width: 260, render: (_, one) => <Far backfill={one} /> },
          { title: t('by'), key: 'by', render: (_, one) => <span className="stacked"><span>{t(`cause.${(['person', 'first', 'gap'].includes(one.cause) ? one.cause : 'person') as 'person'}`)}</span><span className="dim">{one.requested_by}</span></span> },
          ...(operator ? [{ title: '', key: 'acts', align: 'right' as const, render: (_: unknown, one: Backfill) => <Acts backfill={one} /> }] : []),
        ]} />
      </section>
      {starting && <Start offer={starting === 'any' ? undefined : starting} close={() => setStarting(null)} />}
    </Page>
  )
}

function Far({ backfill }: { backfill: Backfill }) {
  const { t } = useTranslation('backfills')
  const say = useSay()
  const percent = Math.round(backfill.progress * 100)
  return (
    <span className="stacked">
      <span className="row"><span className={`state tone-${TONE[backfill.state]}`}><i />{t(`state.${backfill.state}`)}</span>{backfill.state !== 'done' && <span className="dim">{t('readTo')} {day(backfill.read_to)}</span>}</span>
      <Progress percent={percent} size="small" status={backfill.state === 'failed' ? 'exception' : backfill.state === 'running' ? 'active' : backfill.state === 'done' ? 'success' : 'normal'} aria-label={`${t('progress')} ${backfill.connection}`} />
      <span className="dim">{t('counts', { rows: backfill.counts.rows ?? 0, fresh: backfill.counts.new ?? 0 })}{backfill.words && ` · ${say(backfill.words)}`}</span>
    </span>
  )
}

function Acts({ backfill }: { backfill: Backfill }) {
  const { t } = useTranslation('backfills')
  const path = { params: { path: { id: backfill.id } } }
  const stale = ['backfills', 'backfill-offers']
  const pause = useChange(() => ask(api.POST('/api/v1/backfills/{id}/pause', path)), { stale, done: t('paused') })
  const resume = useChange(() => ask(api.POST('/api/v1/backfills/{id}/resume', path)), { stale, done: t('resumed') })
  const cancel = useChange(() => ask(api.POST('/api/v1/backfills/{id}/cancel', path)), { stale, done: t('cancelled') })
  const over = backfill.state === 'done' || backfill.state === 'cancelled'
  if (over) return null
  return (
    <span className="row acts">
      {BUSY.has(backfill.state)
        ? <Button size="small" icon={<PauseOutlined />} loading={pause.isPending} onClick={() => pause.mutate(undefined)}>{t('pause')}</Button>
        : <Button size="small" type="primary" ghost icon={<PlayCircleOutlined />} loading={resume.isPending} onClick={() => resume.mutate(undefined)}>{t('resume')}</Button>}
      <Popconfirm title={t('cancel')} description={t('cancelSure')} onConfirm={() => cancel.mutate(undefined)}><Button size="small" type="text" danger loading={cancel.isPending}>{t('cancel')}</Button></Popconfirm>
    </span>
  )
}
