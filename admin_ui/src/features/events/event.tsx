/** One event: its whole story over all hops, its data in both shapes, every delivery with every attempt. */
import { EditOutlined, EyeInvisibleOutlined, EyeOutlined, RedoOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Popconfirm, Tabs, Timeline } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useSay } from '@/i18n'
import { At, Copyable, Entity, Fact, State } from '@/kit/bits'
import { DeliveryCard } from '@/kit/delivery'
import { JsonView } from '@/kit/json-view'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange } from '@/kit/query'
import { Edit, Edits, mendable } from './edit'

const COLOURS: Record<string, string> = { received: 'blue', planned: 'blue', delivered: 'green', parked: 'orange', dead: 'red', skipped: 'gray', superseded: 'gray', attempt: 'gray' }

export default function EventPage() {
  const { id = '' } = useParams()
  const { t } = useTranslation('events')
  const { may } = useSession()
  const [reveal, setReveal] = useState(false)
  const [editing, setEditing] = useState(false)
  const path = { id }
  const timeline = useQuery({ queryKey: ['timeline', id, reveal], queryFn: () => ask(api.GET('/api/v1/events/{id}/timeline', { params: { path, query: { reveal } } })) })
  const event = useQuery({ queryKey: ['timeline', id, 'body', reveal], queryFn: () => ask(api.GET('/api/v1/events/{id}', { params: { path, query: { reveal } } })) })
  const replay = useChange(() => ask(api.POST('/api/v1/events/{id}/replay', { params: { path } })), { stale: ['timeline', 'events', 'failures', 'overview'], done: t('replayDone') })
  const found = timeline.data?.event
  return (
    <Page
      name={t('event', { id })}
      back={<Link className="back" to="/events">‹ {t('title')}</Link>}
      title={<><span className="mono">{found?.number ?? found?.record ?? `#${id}`}</span>{found && <><Entity of={found.entity} /><State of={found.state} /></>}</>}
      lead={found && <>{found.connection} · <At iso={found.received_at} /></>}
      actions={may('operator') && (
        <>
          <Button icon={reveal ? <EyeInvisibleOutlined /> : <EyeOutlined />} onClick={() => setReveal(!reveal)} title={reveal ? t('revealed') : t('masked')}>{reveal ? t('masked') : t('reveal')}</Button>
          {mendable(timeline.data) && <Button icon={<EditOutlined />} onClick={() => setEditing(true)}>{t('edit')}</Button>}
          <Popconfirm title={t('replay')} description={t('replaySure')} onConfirm={() => replay.mutate(undefined)}><Button type="primary" icon={<RedoOutlined />} loading={replay.isPending}>{t('replay')}</Button></Popconfirm>
        </>
      )}
    >
      <Loaded query={timeline}>
        {(told) => (
          <Tabs items={[
            { key: 'story', label: t('timeline'), children: <Story told={told} /> },
            { key: 'deliveries', label: `${t('deliveries')} ${told.deliveries.length}`, children: <Deliveries of={told.deliveries} /> },
            { key: 'data', label: t('data'), children: <Loaded query={event}>{(one) => <><Bodies event={one} /><Edits id={id} /></>}</Loaded> },
            { key: 'links', label: `${t('links')} ${told.links.length}`, children: <Linked of={told.links} /> },
          ]} />
        )}
      </Loaded>
      {editing && <Edit id={id} reveal={reveal} close={() => setEditing(false)} />}
    </Page>
  )
}

function Story({ told }: { told: Schemas['Timeline'] }) {
  const { t } = useTranslation('events')
  const say = useSay()
  const { event } = told
  return (
    <div className="split">
      <section className="panel">
        <h2>{t('timeline')}</h2>
        <Timeline items={told.steps.map((one, i) => ({ key: i, color: COLOURS[one.kind] ?? 'gray', content: <div className="step"><At iso={one.at} /><p>{say(one.words)}</p></div> }))} />
      </section>
      <aside className="panel">
        <dl className="facts">
          <Fact name={t('source')}>{event.connection}<br /><span className="dim mono">{event.source} / {event.message}</span></Fact>
          <Fact name={t('record')}><Copyable text={event.record ?? '—'} label={t('record')} /></Fact>
          <Fact name={t('occurred')}><At iso={event.occurred_at} /></Fact>
          <Fact name={t('hop')}>{event.hop}</Fact>
          {event.words && <Fact name={t('reason')}>{say(event.words)}</Fact>}
          <Fact name={t('trace')}><code className="dim">{event.trace}</code></Fact>
        </dl>
      </aside>
    </div>
  )
}

function Deliveries({ of }: { of: Schemas['DeliveryDetail'][] }) {
  const { t } = useTranslation('events')
  if (of.length === 0) return <div className="panel"><Nothing title={t('noDeliveries')} art={false} /></div>
  return <div className="stack">{of.map((one) => <DeliveryCard key={one.id} delivery={one} />)}</div>
}

function Bodies({ event }: { event: Schemas['EventDetail'] }) {
  const { t } = useTranslation('events')
  const say = useSay()
  return (
    <div className="twins">
      <section className="panel"><h2>{t('payload')}<small>{event.connection}</small></h2><JsonView value={event.payload} open={3} label={t('payload')} /></section>
      <section className="panel"><h2>{t('canonical')}<small className="mono">{event.mapping}</small></h2>
        {event.canonical ? <JsonView value={event.canonical} open={3} label={t('canonical')} /> : <p className="dim">{t('canonicalNone', { why: say(event.words) || event.state })}</p>}
      </section>
    </div>
  )
}

function Linked({ of }: { of: Schemas['Record'][] }) {
  const { t } = useTranslation('events')
  if (of.length === 0) return <div className="panel"><Nothing title={t('noLinks')} art={false} /></div>
  return (
    <ul className="cards">
      {of.map((one) => (
        <li key={`${one.connection}/${one.record}`} className="card still">
          <div className="row apart"><strong>{one.connection}</strong><Entity of={one.entity} /></div>
          <Copyable text={one.record} label={t('record')} />
          {one.number && <div className="dim">{t('number')} {one.number}</div>}
          <div className="dim">{t('version')} <At iso={one.version_at} /> · {t('wrote')} <At iso={one.wrote_at} /></div>
        </li>
      ))}
    </ul>
  )
}
