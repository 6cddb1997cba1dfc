/** Failures grouped by cause: why, what to do, whom it concerns; the whole group replayed at once. */
import '@/style/data.css'
import { RedoOutlined, ToolOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useSay } from '@/i18n'
import { Ago, At, State } from '@/kit/bits'
import { DeliveryActs } from '@/kit/delivery'
import { List } from '@/kit/list'
import { Loaded, Nothing, Page } from '@/kit/page'
import { usePaged, whole } from '@/kit/query'
import { ReplayAll } from './replay-all'
import { Replays } from './replays'

type Failure = Schemas['Failure']
const keyOf = (one: Failure): string => [one.what, one.state, one.connection, one.route, one.operation, one.reason].join('/')

export default function FailuresPage() {
  const { t } = useTranslation('failures')
  const [params, setParams] = useSearchParams()
  const route = params.get('route')
  const query = useQuery({ queryKey: ['failures'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/failures', { params: { query: { limit: 200, cursor } } }))) })
  const [replaying, setReplaying] = useState<Failure | null>(null)
  return (
    <Page title={t('title')} lead={t('lead')} actions={route && <Button onClick={() => setParams({})}>{t('only', { route })} · {t('showAll')}</Button>}>
      <Loaded query={query}>
        {(all) => {
          const found = route ? all.filter((one) => one.route === route) : all
          if (found.length === 0) return <div className="panel"><Nothing title={t('none')} hint={t('noneHint')} /></div>
          return <div className="stack">{found.map((one) => <Group key={keyOf(one)} failure={one} replay={() => setReplaying(one)} />)}</div>
        }}
      </Loaded>
      <Replays />
      {replaying && <ReplayAll failure={replaying} close={() => setReplaying(null)} />}
    </Page>
  )
}

function Group({ failure, replay }: { failure: Failure; replay: () => void }) {
  const { t } = useTranslation('failures')
  const { may } = useSession()
  const say = useSay()
  const [open, setOpen] = useState(false)
  return (
    <section className="panel failure" aria-label={say(failure.words) || failure.reason || t('unknown')}>
      <div className="failure-head">
        <div className={`failure-count state-${failure.state}`}><b>{failure.count}</b><State of={failure.state} /></div>
        <div className="grow">
          <h2>{say(failure.words) || failure.reason || t('unknown')}</h2>
          <p className="dim row">
            <span>{t(`what.${failure.what}`)}</span><strong>{failure.connection}</strong>
            {failure.operation && <code>{failure.operation}</code>}{failure.route && <Link to={`/routes/${failure.route}`}>{failure.route}</Link>}
            {failure.code && <code className="tag">{failure.code}</code>}
            <span>{t('oldest')} <Ago iso={failure.oldest} /></span><span>{t('newest')} <Ago iso={failure.newest} /></span>
          </p>
        </div>
        <div className="row failure-acts">
          <Mend failure={failure} />
          <Button onClick={() => setOpen(!open)} aria-expanded={open}>{open ? t('hide') : t('show')}</Button>
          {may('operator') && <Button type="primary" icon={<RedoOutlined />} onClick={replay}>{t('replayAll', { n: failure.count })}</Button>}
        </div>
      </div>
      {open && (failure.what === 'delivery' ? <DeliveryRows failure={failure} /> : <EventRows failure={failure} />)}
    </section>
  )
}

/** Where the cause is mended: a mapping for what does not map, the connection for what it refuses. */
function Mend({ failure }: { failure: Failure }) {
  const { t } = useTranslation('failures')
  const why = failure.reason ?? ''
  const [to, words] = why.includes('mapping') && failure.connector ? [`/mappings?connector=${failure.connector}`, t('fixMapping')]
    : why === 'condition' ? ['/routes', t('fixRoute')]
    : [`/connections/${failure.connection}`, t('fixConnection')]
  return <Link to={to}><Button icon={<ToolOutlined />}>{words}</Button></Link>
}

function DeliveryRows({ failure }: { failure: Failure }) {
  const { t } = useTranslation('failures')
  const say = useSay()
  const navigate = useNavigate()
  const { state, connection, route, reason } = failure
  const pages = usePaged(['deliveries', state, connection, route, reason], (cursor) =>
    ask(api.GET('/api/v1/deliveries', { params: { query: { state, connection, route: route ?? undefined, reason: reason ?? undefined, limit: 20, cursor } } })))
  return (
    <List<Schemas['Delivery']> pages={pages} label={t('show')} rowKey={(one) => one.id} empty={<Nothing title={t('none')} art={false} />} open={(one) => void navigate(`/events/${one.event_id}`)}
      columns={[
        { title: t('at'), key: 'at', render: (_, one) => <At iso={one.created_at} /> },
        { title: t('number'), key: 'number', render: (_, one) => <Link className="mono" to={`/events/${one.event_id}`}>{one.number ?? one.record ?? `#${one.event_id}`}</Link> },
        { title: t('attempts'), dataIndex: 'attempts', align: 'right' },
        { title: t('detail'), key: 'words', render: (_, one) => <span className="clip" style={{ maxWidth: 420 }}>{say(one.words)}</span> },
        { title: '', key: 'acts', render: (_, one) => <DeliveryActs delivery={one} /> },
      ]} />
  )
}

function EventRows({ failure }: { failure: Failure }) {
  const { t } = useTranslation('failures')
  const say = useSay()
  const navigate = useNavigate()
  const { connection, reason } = failure
  const pages = usePaged(['events', 'parked', connection, reason], (cursor) => ask(api.GET('/api/v1/events', { params: { query: { state: 'parked', connection, reason: reason ?? undefined, limit: 20, cursor } } })))
  return (
    <List<Schemas['Event']> pages={pages} label={t('show')} rowKey={(one) => one.id} empty={<Nothing title={t('none')} art={false} />} open={(one) => void navigate(`/events/${one.id}`)}
      columns={[
        { title: t('at'), key: 'at', render: (_, one) => <At iso={one.received_at} /> },
        { title: t('number'), key: 'number', render: (_, one) => <Link className="mono" to={`/events/${one.id}`}>{one.number ?? one.record ?? `#${one.id}`}</Link> },
        { title: t('detail'), key: 'words', render: (_, one) => <span className="clip" style={{ maxWidth: 520 }}>{say(one.words)}</span> },
      ]} />
  )
}
