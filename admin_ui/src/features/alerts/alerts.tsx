/** Alerts: what fires now, the rules, what has fired, what was sent. */
import { PlusOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Tabs, Tooltip } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { PAGES } from '@/app/pages'
import { useSession } from '@/app/session'
import { useSay } from '@/i18n'
import { Ago, At } from '@/kit/bits'
import { List } from '@/kit/list'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange, usePaged, whole } from '@/kit/query'
import { Editor } from './editor'
import type { Channel } from './fields'
import type { Alert, RuleKind } from './values'
import '@/style/alerts.css'

type Alarm = Schemas['Alarm']
const page = (cursor: string | undefined) => ({ params: { query: { limit: 100, cursor } } })

export default function AlertsPage() {
  const { t } = useTranslation('alerts')
  const { may } = useSession()
  const [editing, setEditing] = useState<Alert | 'new' | null>(null)
  const alerts = useQuery({ queryKey: ['alerts'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/alerts', page(cursor)))) })
  const kinds = useQuery({ queryKey: ['alert-kinds'], staleTime: Infinity, queryFn: () => whole<RuleKind>((cursor) => ask(api.GET('/api/v1/alerts/kinds', page(cursor)))) })
  const channels = useQuery({ queryKey: ['alert-channels'], queryFn: () => whole<Channel>((cursor) => ask(api.GET('/api/v1/alerts/channels', page(cursor)))) })
  const add = may('editor') && <Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing('new')}>{t('create')}</Button>
  return (
    <Page title={t('title')} lead={t('lead')} actions={add}>
      <Firing names={new Map((alerts.data ?? []).map(({ alert }) => [alert.key, alert.label || alert.key]))} />
      <Tabs items={[
        {
          key: 'rules', label: t('rulesTab'), children: (
            <Loaded query={alerts}>
              {(found) => found.length === 0 ? <div className="panel"><Nothing title={t('emptyTitle')} hint={t('emptyHint')}>{add}</Nothing></div> : (
                <ul className="cards cards-wide">{found.map((one) => <Card key={one.alert.key} detail={one} kinds={kinds.data ?? []} open={may('editor') ? () => setEditing(one.alert) : undefined} />)}</ul>
              )}
            </Loaded>
          ),
        },
        { key: 'history', label: t('historyTab'), children: <History /> },
        { key: 'messages', label: t('messagesTab'), children: <Messages /> },
      ]} />
      {editing && kinds.data && channels.data && (
        <Editor alert={editing === 'new' ? null : editing} keys={(alerts.data ?? []).map((one) => one.alert.key)} kinds={kinds.data} channels={channels.data} close={() => setEditing(null)} />
      )}
    </Page>
  )
}

function Card({ detail, kinds, open }: { detail: Schemas['AlertDetail']; kinds: RuleKind[]; open?: () => void }) {
  const { t } = useTranslation('alerts')
  const say = useSay()
  const { alert, firing } = detail
  const tone = !alert.enabled ? 'off' : firing ? 'bad' : 'good'
  const body = (
    <>
      <div className="row apart"><strong>{alert.label || alert.key}</strong><span className={`state tone-${tone}`}><i aria-hidden="true" />{!alert.enabled ? t('off') : firing ? t('firingCount', { n: firing }) : t('quiet')}</span></div>
      <div className="row alert-tags">{alert.rules.map((one, i) => <span key={i} className="tag">{say(kinds.find((kind) => kind.kind === one.kind)?.name) || one.kind}</span>)}</div>
      <div className="row dim card-foot">→ {alert.to.map((one) => one.connection).join('、')}</div>
    </>
  )
  return <li>{open ? <button type="button" className="card card-button" onClick={open}>{body}</button> : <div className="card still">{body}</div>}</li>
}

function Firing({ names }: { names: Map<string, string> }) {
  const { t } = useTranslation('alerts')
  const { may } = useSession()
  const say = useSay()
  const alarms = useQuery({ queryKey: ['alarms', 'firing'], refetchInterval: 15_000, queryFn: () => ask(api.GET('/api/v1/alarms', { params: { query: { state: 'firing', limit: 100 } } })) })
  const take = useChange((id: string) => ask(api.POST('/api/v1/alarms/{number}/acknowledge', { params: { path: { number: id } } })), { stale: ['alarms'] })
  const found = alarms.data?.items ?? []
  if (found.length === 0) return names.size > 0 && alarms.data ? <p className="alert-calm" role="status"><span className="state tone-good"><i aria-hidden="true" />{t('calm')}</span></p> : null
  return (
    <section className="panel" aria-label={t('firing')}>
      <h2>{t('firing')} <span className="count">{found.length}</span></h2>
      <ul className="alarm-list">
        {found.map((one) => (
          <li key={one.id} className="todo todo-dead">
            <div><strong>{say(one.words)}</strong><p><Ago iso={one.fired_at} /> · {names.get(one.alert) ?? one.alert}{one.acknowledged_by && ` · ${t('taken', { who: one.acknowledged_by })}`}</p></div>
            <span className="row">
              {may('operator') && !one.acknowledged_by && <Button size="small" loading={take.isPending && take.variables === one.id} onClick={() => take.mutate(one.id)}>{t('take')}</Button>}
              {place(one) && <Link to={place(one) ?? ''}>{t('look')}</Link>}
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** Where a trouble can be looked at; only pages that there are. */
function place(one: Alarm): string | null {
  const wanted: Partial<Record<Alarm['kind'], string>> = {
    parked: '/failures', dead: '/failures', difference: '/settings', drift: '/reconciliations', conflicts: '/conflicts',
    silent: `/events?connection=${one.subject}`, overdue: `/connections/${one.subject}`, quarantine: `/connections/${one.subject}`, needs_auth: `/connections/${one.subject}`,
    expiring: `/connections/${one.subject}`, failing: `/connections/${one.subject}`, breaker: `/connections/${one.subject}`,
  }
  const path = wanted[one.kind] ?? null
  const top = path?.split('?')[0] ?? ''
  return path && PAGES.some((page_) => page_.path === top || (page_.path === '/connections/:key' && top.startsWith('/connections/'))) ? path : null
}

function History() {
  const { t } = useTranslation('alerts')
  const say = useSay()
  const pages = usePaged<Alarm>(['alarms', 'all'], (cursor) => ask(api.GET('/api/v1/alarms', { params: { query: { limit: 50, cursor } } })))
  return (
    <List<Alarm> pages={pages} label={t('historyTab')} rowKey={(one) => one.id} empty={<Nothing title={t('noHistory')} />} columns={[
      { title: t('at'), key: 'at', width: 150, render: (_, one) => <At iso={one.fired_at} /> },
      { title: t('trouble'), key: 'words', render: (_, one) => say(one.words) },
      { title: t('alert'), dataIndex: 'alert', width: 160 },
      { title: t('state'), key: 'state', width: 130, render: (_, one) => <span className={`state tone-${one.state === 'firing' ? 'bad' : 'good'}`}><i aria-hidden="true" />{one.state === 'firing' ? t('firing') : t('ended_')}</span> },
      { title: t('ended'), key: 'ended', width: 150, render: (_, one) => <At iso={one.ended_at} /> },
    ]} />
  )
}

function Messages() {
  const { t } = useTranslation('alerts')
  const say = useSay()
  const pages = usePaged<Schemas['Notice']>(['notices'], (cursor) => ask(api.GET('/api/v1/alarms/notices', { params: { query: { limit: 50, cursor } } })))
  const tone = { sent: 'good', waiting: 'wait', failed: 'bad' } as const
  return (
    <List<Schemas['Notice']> pages={pages} label={t('messagesTab')} rowKey={(one) => one.id} empty={<Nothing title={t('noMessages')} />} columns={[
      { title: t('at'), key: 'at', width: 150, render: (_, one) => <At iso={one.created_at} /> },
      { title: t('to_'), key: 'to', width: 180, render: (_, one) => <Link to={`/connections/${one.connection}`}>{one.connection}</Link> },
      { title: t('message'), key: 'message', render: (_, one) => <details><summary>{one.title}</summary><pre className="alert-text">{one.text}</pre></details> },
      { title: t('state'), key: 'state', width: 140, render: (_, one) => {
        const state = one.state as keyof typeof tone
        const shown = <span className={`state tone-${tone[state]}`}><i aria-hidden="true" />{t(state)}</span>
        return one.words ? <Tooltip title={say(one.words)}>{shown}</Tooltip> : shown
      } },
    ]} />
  )
}
