/** Replays of many as jobs: how far each is; paused, continued and cancelled by whoever may. */
import { PauseOutlined, PlayCircleOutlined } from '@ant-design/icons'
import { Button, Popconfirm, Progress } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useSay } from '@/i18n'
import { At } from '@/kit/bits'
import { useChange, usePaged } from '@/kit/query'
import { BUSY, settled, TONE, worth } from './job'

type Replay = Schemas['Replay']

export function Replays() {
  const { t } = useTranslation('failures')
  const pages = usePaged<Replay>(['replays'], (cursor) => ask(api.GET('/api/v1/replays', { params: { query: { limit: 20, cursor } } })), (items) => (items.some((one) => BUSY.has(one.state)) ? 1500 : false))
  const shown = worth(pages.items)
  if (shown.length === 0) return null
  return (
    <section className="section">
      <h2>{t('jobs')}</h2>
      <div className="stack">{shown.map((one) => <Job key={one.id} job={one} />)}</div>
    </section>
  )
}

function Job({ job }: { job: Replay }) {
  const { t } = useTranslation('failures')
  const { may } = useSession()
  const say = useSay()
  const { chosen, counts } = job
  const path = { params: { path: { id: job.id } } }
  const stale = ['replays', 'failures', 'overview']
  const pause = useChange(() => ask(api.POST('/api/v1/replays/{id}/pause', path)), { stale })
  const resume = useChange(() => ask(api.POST('/api/v1/replays/{id}/resume', path)), { stale })
  const cancel = useChange(() => ask(api.POST('/api/v1/replays/{id}/cancel', path)), { stale })
  const what = [chosen.connection, chosen.route, chosen.reason].filter(Boolean).join(' · ') || t('everything')
  return (
    <article className="panel row apart" aria-label={`${t('bulk')} ${job.id}`}>
      <span className="stacked grow">
        <span className="row"><span className={`state tone-${TONE[job.state]}`}><i />{t(`job.${job.state}`)}</span><strong>{what}</strong></span>
        <span className="dim">{t('jobCounts', { replayed: counts.replayed ?? 0, matched: counts.matched ?? 0 })}{(counts.superseded ?? 0) > 0 && ` · ${t('overtaken', { n: counts.superseded ?? 0 })}`}{(counts.taken_back ?? 0) > 0 && ` · ${t('takenBack', { n: counts.taken_back ?? 0 })}`}</span>
        <span className="dim">{job.requested_by} · <At iso={job.created_at} /> · {job.mapping === 'newest' ? t('byNewest') : t('byPlanned')} · {job.budget > 0 ? t('perSecond', { n: job.budget }) : t('unbounded')}{job.words && ` · ${say(job.words)}`}</span>
      </span>
      <span className="run-progress"><Progress percent={Math.round(job.progress * 100)} size="small" status={job.state === 'failed' ? 'exception' : job.state === 'running' ? 'active' : job.state === 'done' ? 'success' : 'normal'} aria-label={`${t('bulk')} ${job.id}`} /></span>
      {may('operator') && !settled(job) && (
        <span className="row acts">
          {BUSY.has(job.state)
            ? <Button size="small" icon={<PauseOutlined />} loading={pause.isPending} onClick={() => pause.mutate(undefined)}>{t('pause')}</Button>
            : <Button size="small" type="primary" ghost icon={<PlayCircleOutlined />} loading={resume.isPending} onClick={() => resume.mutate(undefined)}>{t('resume')}</Button>}
          <Popconfirm title={t('cancelJob')} description={t('cancelJobSure')} onConfirm={() => cancel.mutate(undefined)}><Button size="small" type="text" danger loading={cancel.isPending}>{t('cancelJob')}</Button></Popconfirm>
        </span>
      )}
    </article>
  )
}
