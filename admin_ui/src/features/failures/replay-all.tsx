/** The dialog of a bulk replay: how many, how fast, by which mapping; then its progress. Deliveries go as a job of the hub. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, Form, InputNumber, Modal, Progress, Radio } from 'antd'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { inPortions, type Portion, type Tally } from './bulk'
import { BUSY, settled } from './job'

const PORTION = 100
const OLD = ['failures', 'overview', 'deliveries', 'replays']

interface Asked {
  failure: Schemas['Failure']
  close: () => void
}

export function ReplayAll(asked: Asked) {
  return asked.failure.what === 'delivery' ? <Deliveries {...asked} /> : <Events {...asked} />
}

function Deliveries({ failure, close }: Asked) {
  const { t } = useTranslation('failures')
  const { t: common } = useTranslation()
  const queries = useQueryClient()
  const [rate, setRate] = useState(100)
  const [mapping, setMapping] = useState<Schemas['ReplayStart']['mapping']>('planned')
  const [number, setNumber] = useState<string | null>(null)
  const chosen = { state: failure.state as 'dead', connection: failure.connection, route: failure.route, reason: failure.reason }
  const count = useQuery({ queryKey: ['replay-count', chosen], gcTime: 0, enabled: number === null, queryFn: () => ask(api.POST('/api/v1/replays/count', { body: chosen })) })
  const start = useChange(() => ask(api.POST('/api/v1/replays', { body: { ...chosen, mapping, budget: rate } })), { stale: ['replays'], quiet: true, then: (made) => setNumber(made.id) })
  const path = { params: { path: { id: number ?? '' } } }
  const job = useQuery({ queryKey: ['replays', 'one', number], enabled: number !== null, queryFn: () => ask(api.GET('/api/v1/replays/{id}', path)), refetchInterval: (query) => (settled(query.state.data) ? false : 700) }).data
  const cancel = useChange(() => ask(api.POST('/api/v1/replays/{id}/cancel', path)), { stale: OLD })
  const over = settled(job)
  const running = number !== null && !over
  useEffect(() => {
    if (over) for (const key of OLD) void queries.invalidateQueries({ queryKey: [key] })
  }, [over, queries])
  const matched = count.data?.matched ?? failure.count
  return (
    <Modal
      open
      title={t('bulk')}
      onCancel={close}
      okText={over ? t('close') : running ? t('stop') : t('bulkGo')}
      cancelText={running ? t('behind') : common('cancel')}
      cancelButtonProps={{ style: over ? { display: 'none' } : undefined }}
      okButtonProps={{ danger: running, loading: start.isPending || cancel.isPending, disabled: count.isPending && number === null }}
      onOk={() => (over ? close() : running ? cancel.mutate(undefined) : start.mutate(undefined))}
    >
      {number === null && (
        <Form layout="vertical">
          <p>{t('bulkSure', { n: matched })}</p>
          <Form.Item label={t('rate')} extra={<span className="field-help">{t('rateHint')}</span>}><InputNumber min={1} max={10_000} value={rate} onChange={(value) => setRate(value ?? 100)} suffix={t('rateUnit')} aria-label={t('rate')} style={{ width: 180 }} /></Form.Item>
          <Form.Item label={t('by')} extra={<span className="field-help">{t('byHint')}</span>}>
            <Radio.Group value={mapping} onChange={(event) => setMapping(event.target.value as typeof mapping)} options={[{ value: 'planned', label: t('byPlanned') }, { value: 'newest', label: t('byNewest') }]} />
          </Form.Item>
        </Form>
      )}
      {number !== null && <Far job={job} total={matched} />}
      {start.error && <Trouble error={start.error} />}
    </Modal>
  )
}

function Far({ job, total }: { job: Schemas['Replay'] | undefined; total: number }) {
  const { t } = useTranslation('failures')
  const counts = job?.counts
  const n = counts?.replayed ?? 0
  return (
    <div aria-live="polite">
      <Progress percent={Math.round((job?.progress ?? 0) * 100)} status={job?.state === 'failed' ? 'exception' : job?.state === 'done' ? 'success' : 'active'} />
      <p>{job?.state === 'done' ? t('done', { n }) : job && !BUSY.has(job.state) ? t('stopped', { n }) : t('progress', { done: n, total: counts?.matched ?? total })}</p>
      {(counts?.superseded ?? 0) > 0 && <Alert type="info" title={t('overtaken', { n: counts?.superseded ?? 0 })} />}
      {(counts?.taken_back ?? 0) > 0 && <Alert type="info" title={t('takenBack', { n: counts?.taken_back ?? 0 })} />}
    </div>
  )
}

/** Events that could not be read are planned anew, portion by portion while the dialog is open. */
function Events({ failure, close }: Asked) {
  const { t } = useTranslation('failures')
  const { t: common } = useTranslation()
  const queries = useQueryClient()
  const [tally, setTally] = useState<Tally | null>(null)
  const [error, setError] = useState<unknown>(null)
  const stop = useRef(false)
  const [total] = useState(failure.count)
  const running = tally !== null && !tally.over && !error

  async function run(): Promise<void> {
    stop.current = false
    setError(null)
    setTally({ done: 0, skipped: 0, over: false, stopped: false })
    try {
      await inPortions(events(failure), () => stop.current, setTally)
    } catch (failed) {
      setError(failed)
    }
    for (const key of OLD) void queries.invalidateQueries({ queryKey: [key] })
  }

  const done = (tally?.done ?? 0) + (tally?.skipped ?? 0)
  return (
    <Modal
      open
      title={t('bulk')}
      onCancel={() => { stop.current = true; close() }}
      mask={{ closable: !running }}
      okText={tally?.over ? t('close') : running ? t('stop') : t('bulkGo')}
      cancelText={common('cancel')}
      cancelButtonProps={{ style: tally ? { display: 'none' } : undefined }}
      okButtonProps={{ danger: running }}
      onOk={() => (tally?.over ? close() : running ? void (stop.current = true) : void run())}
    >
      {!tally && <p>{t('bulkSure', { n: total })}</p>}
      {tally && (
        <div aria-live="polite">
          <Progress percent={tally.over && !tally.stopped ? 100 : Math.min(99, Math.round((done / Math.max(1, total)) * 100))} status={error ? 'exception' : tally.over ? 'success' : 'active'} />
          <p>{!tally.over ? t('progress', { done: tally.done, total }) : tally.stopped ? t('stopped', { n: tally.done }) : t('done', { n: tally.done })}</p>
          {tally.skipped > 0 && <Alert type="info" title={t('again', { n: tally.skipped })} />}
        </div>
      )}
      {Boolean(error) && <Trouble error={error} />}
    </Modal>
  )
}

function events(failure: Schemas['Failure']): () => Promise<Portion> {
  let cursor: string | undefined
  return async () => {
    const page = await ask(api.GET('/api/v1/events', { params: { query: { state: 'parked', connection: failure.connection, reason: failure.reason ?? undefined, limit: PORTION, cursor } } }))
    cursor = page.next_cursor ?? undefined
    let replayed = 0
    for (const one of page.items) {
      const answer = await api.POST('/api/v1/events/{id}/replay', { params: { path: { id: one.id } } })
      if (answer.response.ok) replayed += 1
    }
    return { replayed, missed: page.items.length - replayed, more: cursor !== undefined }
  }
}
