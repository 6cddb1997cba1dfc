/** Reconciliation: the schedules with what they found last, and every comparison so far. */
import '@/style/data.css'
import { DeleteOutlined, EditOutlined, PlayCircleOutlined, PlusOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { App, Button, Progress } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate } from 'react-router'
import { api, ask } from '@/api/client'
import { useSession } from '@/app/session'
import { Ago, At, useEntity, Window } from '@/kit/bits'
import { List } from '@/kit/list'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange, usePaged, whole } from '@/kit/query'
import { exact } from '@/lib/time'
import { KINDS, tally, UNDER_WAY, type Plan, type Run } from './figures'
import { PlanDialog } from './plan'
import { Start } from './start'

export default function ReconciliationsPage() {
  const { t } = useTranslation('reconciliations')
  const { may } = useSession()
  const [starting, setStarting] = useState(false)
  const [editing, setEditing] = useState<Plan | 'new' | null>(null)
  const plans = useQuery({ queryKey: ['reconciliation-plans'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/reconciliations/schedules', { params: { query: { limit: 200, cursor } } }))) })
  const acts = (
    <>
      {may('editor') && <Button icon={<PlusOutlined />} onClick={() => setEditing('new')}>{t('plan')}</Button>}
      {may('operator') && <Button type="primary" icon={<PlayCircleOutlined />} onClick={() => setStarting(true)}>{t('start')}</Button>}
    </>
  )
  return (
    <Page title={t('title')} lead={t('lead')} actions={acts}>
      <section className="section">
        <h2>{t('plans')}</h2>
        <Loaded query={plans} rows={2}>
          {(found) => found.length === 0 ? <div className="panel"><Nothing title={t('plansNone')} hint={t('plansNoneHint')} art={false}>{may('editor') && <Button onClick={() => setEditing('new')}>{t('plan')}</Button>}</Nothing></div>
            : <div className="cards cards-wide">{found.map((one) => <PlanCard key={one.key} plan={one} edit={() => setEditing(one)} />)}</div>}
        </Loaded>
      </section>
      <section className="section"><h2>{t('runs')}</h2><Runs /></section>
      {starting && <Start close={() => setStarting(false)} />}
      {editing && <PlanDialog plan={editing === 'new' ? undefined : editing} taken={(plans.data ?? []).map((one) => one.key)} close={() => setEditing(null)} />}
    </Page>
  )
}

function PlanCard({ plan, edit }: { plan: Plan; edit: () => void }) {
  const { t } = useTranslation('reconciliations')
  const { t: common } = useTranslation()
  const entity = useEntity()
  const { may } = useSession()
  const { modal } = App.useApp()
  const navigate = useNavigate()
  const last = useQuery({ queryKey: ['reconciliations', 'last', plan.key], refetchInterval: 15_000, queryFn: async () => (await ask(api.GET('/api/v1/reconciliations', { params: { query: { schedule: plan.key, limit: 1 } } }))).items[0] ?? null })
  const now = useChange<undefined, Run>(() => ask(api.POST('/api/v1/reconciliations', { body: { schedule: plan.key } as never })), { stale: ['reconciliations'], done: t('started'), then: (made) => void navigate(`/reconciliations/${made.id}`) })
  const remove = useChange(() => ask(api.DELETE('/api/v1/reconciliations/schedules/{key}', { params: { path: { key: plan.key } } })), { stale: ['reconciliation-plans'], done: common('removed') })
  const every = exact(Number(plan.every ?? 0))
  const window = exact(Number(plan.window ?? 86400))
  const name = plan.label || plan.key
  return (
    <article className={plan.enabled ? 'card still plan' : 'card still plan faded'} aria-label={name}>
      <div className="row apart"><strong className="recipe-title">{name}</strong>{!plan.enabled && <span className="state tone-off"><i />{t('off')}</span>}</div>
      <p>{t('pair', { left: plan.left.connection, right: plan.right.connection, entity: entity(plan.entity) })}</p>
      <p className="dim">{plan.every ? t('every', { n: every.n, unit: common(`unit.${every.unit}`) }) : t('daily', { at: (plan.at ?? []).join('、') })} · {t('span', { n: window.n, unit: common(`unit.${window.unit}`) })}</p>
      <p className="dim">{plan.next_at && <>{t('next')} <At iso={plan.next_at} /></>}</p>
      <div className="plan-last">{last.data && <><span className="dim">{t('last')}</span><Link to={`/reconciliations/${last.data.id}`}><Ago iso={last.data.created_at} /></Link><Result run={last.data} /></>}</div>
      <div className="row recipe-foot">
        {may('operator') && <Button size="small" icon={<PlayCircleOutlined />} loading={now.isPending} onClick={() => now.mutate(undefined)}>{t('now')}</Button>}
        {may('editor') && <Button size="small" type="text" icon={<EditOutlined />} onClick={edit}>{t('edit')}</Button>}
        {may('editor') && <Button size="small" type="text" danger icon={<DeleteOutlined />} aria-label={`${t('remove')} ${name}`} onClick={() => void modal.confirm({ title: t('removeSure', { name }), okText: t('remove'), okButtonProps: { danger: true }, onOk: () => remove.mutateAsync(undefined).catch(() => undefined) })} />}
      </div>
    </article>
  )
}

/** What one comparison came to, in a few words. */
export function Result({ run }: { run: Run }) {
  const { t } = useTranslation('reconciliations')
  if (UNDER_WAY.has(run.state)) return <span className="run-progress"><Progress percent={Math.round(run.progress * 100)} size="small" aria-label={t(`state.${run.state}`)} /></span>
  const found = KINDS.map((kind) => [kind, tally(run, kind)] as const).filter(([, n]) => n > 0)
  if (run.state === 'done' && found.length === 0) return <span className="state tone-good"><i />{t('clean')}</span>
  if (found.length === 0) return <span className={`state tone-${run.state === 'failed' ? 'bad' : 'off'}`}><i />{t(`state.${run.state}`)}</span>
  return <span className="row">{found.map(([kind, n]) => <span key={kind} className={`finding-tag kind-${kind}`}>{t(kind)} <b>{n}</b></span>)}</span>
}

function Runs() {
  const { t } = useTranslation('reconciliations')
  const entity = useEntity()
  const navigate = useNavigate()
  const pages = usePaged<Run>(['reconciliations', 'list'], (cursor) => ask(api.GET('/api/v1/reconciliations', { params: { query: { limit: 30, cursor } } })), (items) => (items.some((one) => UNDER_WAY.has(one.state)) ? 2000 : false))
  return (
    <List<Run> pages={pages} label={t('runs')} rowKey={(one) => one.id} open={(one) => void navigate(`/reconciliations/${one.id}`)} empty={<Nothing title={t('runsNone')} hint={t('runsNoneHint')} />} columns={[
      { title: t('created'), key: 'at', width: 150, render: (_, one) => <Link to={`/reconciliations/${one.id}`}><At iso={one.created_at} /></Link> },
      { title: t('entity'), key: 'what', render: (_, one) => t('pair', { left: one.left, right: one.right, entity: entity(one.entity) }) },
      { title: t('when'), key: 'window', render: (_, one) => <span className="dim"><Window from={one.window_start} until={one.window_end} /></span> },
      { title: t('result'), key: 'result', render: (_, one) => <Result run={one} /> },
      { title: t('by'), key: 'by', render: (_, one) => (one.schedule && one.requested_by === 'schedule' ? t('bySchedule', { key: one.schedule }) : one.requested_by) },
    ]} />
  )
}
