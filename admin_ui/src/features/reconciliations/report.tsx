/** One comparison: how far it is, what it counted, what it found, and mending it. */
import '@/style/data.css'
import { DownloadOutlined, EyeInvisibleOutlined, EyeOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Dropdown, Popconfirm, Progress, Tabs } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useParams, useSearchParams } from 'react-router'
import { api, ask } from '@/api/client'
import { useSession } from '@/app/session'
import { useSay } from '@/i18n'
import { Num, useEntity, Window } from '@/kit/bits'
import { Loaded, Page } from '@/kit/page'
import { useChange } from '@/kit/query'
import { exportPath, KINDS, mending, tally, UNDER_WAY, type FindingKind, type Run } from './figures'
import { Findings } from './findings'

export default function ReportPage() {
  const { t } = useTranslation('reconciliations')
  const { id = '' } = useParams()
  const entity = useEntity()
  const { may } = useSession()
  const [params, setParams] = useSearchParams()
  const [reveal, setReveal] = useState(false)
  const found = useQuery({
    queryKey: ['reconciliation', id], queryFn: () => ask(api.GET('/api/v1/reconciliations/{id}', { params: { path: { id } } })),
    refetchInterval: (query) => (query.state.data && (UNDER_WAY.has(query.state.data.state) || (mending(query.state.data)?.busy ?? 0) > 0) ? 1000 : false),
  })
  const run = found.data
  const asked = params.get('kind') as FindingKind | null
  const kind: FindingKind = asked && KINDS.includes(asked) ? asked : (KINDS.find((one) => run && tally(run, one) > 0) ?? 'missing')
  const cancel = useChange(() => ask(api.POST('/api/v1/reconciliations/{id}/cancel', { params: { path: { id } } })), { stale: ['reconciliation', 'reconciliations'] })
  const total = run ? KINDS.reduce((sum, one) => sum + tally(run, one), 0) : 0
  const acts = run && (
    <>
      {UNDER_WAY.has(run.state) && may('operator') && <Popconfirm title={t('cancel')} description={t('cancelSure')} onConfirm={() => cancel.mutate(undefined)}><Button danger loading={cancel.isPending}>{t('cancel')}</Button></Popconfirm>}
      {total > 0 && may('operator') && <Button icon={reveal ? <EyeInvisibleOutlined /> : <EyeOutlined />} onClick={() => setReveal(!reveal)}>{reveal ? t('masked') : t('reveal')}</Button>}
      {total > 0 && (
        <Dropdown trigger={['click']} menu={{ items: [
          { type: 'group', label: t('exportAll'), children: (['xlsx', 'csv'] as const).map((format) => ({ key: `all-${format}`, label: <a href={exportPath(id, format, undefined, reveal)} download>{t(format)}</a> })) },
          { type: 'group', label: `${t('exportThis')} · ${t(kind)}`, children: (['xlsx', 'csv'] as const).map((format) => ({ key: `kind-${format}`, label: <a href={exportPath(id, format, kind, reveal)} download>{t(format)}</a> })) },
        ] }}><Button icon={<DownloadOutlined />}>{t('export')}</Button></Dropdown>
      )}
    </>
  )
  return (
    <Page name={t('run', { id })} title={run ? t('pair', { left: run.left, right: run.right, entity: entity(run.entity) }) : t('run', { id })} back={<Link className="back" to="/reconciliations">‹ {t('back')}</Link>} actions={acts}
      lead={run && <><Window from={run.window_start} until={run.window_end} /> · {run.requested_by === 'schedule' ? t('bySchedule', { key: run.schedule ?? '' }) : run.requested_by}</>}>
      <Loaded query={found}>
        {(one) => (
          <div className="stack">
            <Summary run={one} />
            <div className="panel report">
              <Tabs activeKey={kind} onChange={(key) => setParams({ kind: key }, { replace: true })} items={KINDS.map((each) => ({
                key: each, label: <span className="row">{t(each)}<span className={tally(one, each) > 0 ? `tally kind-${each}` : 'tally zero'}>{tally(one, each)}</span></span>,
                children: <Findings run={one} kind={each} reveal={reveal} />,
              }))} />
            </div>
          </div>
        )}
      </Loaded>
    </Page>
  )
}

const PARTS = ['left', 'right', 'matched', 'under_way', 'filtered', 'unreadable', 'gone'] as const

function Summary({ run }: { run: Run }) {
  const { t } = useTranslation('reconciliations')
  const say = useSay()
  const repairs = mending(run)
  const busy = UNDER_WAY.has(run.state)
  return (
    <section className="panel" aria-live="polite">
      <div className="row apart">
        <span className={`state tone-${run.state === 'done' ? 'good' : run.state === 'failed' ? 'bad' : run.state === 'cancelled' ? 'off' : 'busy'}`}><i />{t(`state.${run.state}`)}</span>
        {busy && <span className="dim">{t('refresh')}</span>}
      </div>
      {busy && <Progress percent={Math.round(run.progress * 100)} status="active" aria-label={t('progress')} />}
      {run.words && (busy || run.state === 'failed') && <Alert className="after" type={run.state === 'failed' ? 'error' : 'info'} showIcon title={run.state === 'failed' ? t('failedWhy') : t('progress')} description={say(run.words)} />}
      <div className="equation counts">
        {PARTS.filter((part) => (run.counts[part] ?? 0) > 0 || ['left', 'right', 'matched'].includes(part)).map((part) => (
          <div key={part} className={(run.counts[part] ?? 0) === 0 ? 'figure zero' : 'figure'}><b><Num of={run.counts[part] ?? 0} /></b><span>{t(`counts.${part}`, { name: part === 'left' ? run.left : run.right })}</span></div>
        ))}
        {KINDS.map((kind) => <div key={kind} className={tally(run, kind) === 0 ? 'figure zero' : `figure kind-${kind}`}><b><Num of={tally(run, kind)} /></b><span>{t(kind)}</span></div>)}
      </div>
      {repairs && (
        <div className="after">
          <Progress percent={Math.round(((repairs.repaired + repairs.failed) / repairs.total) * 100)} success={{ percent: Math.round((repairs.repaired / repairs.total) * 100) }} status={repairs.busy > 0 ? 'active' : repairs.failed > 0 ? 'exception' : 'success'} aria-label={t('repairProgress', { repaired: repairs.repaired, total: repairs.total })} />
          <p className="dim">{repairs.busy === 0 && repairs.failed === 0 ? t('repairDone') : t('repairProgress', { repaired: repairs.repaired, total: repairs.total })}{repairs.failed > 0 && ` · ${t('repairFailed', { n: repairs.failed })}`}</p>
        </div>
      )}
    </section>
  )
}
