/** The dialog of a bulk replay: how many, progress, stop. */
import { Alert, Modal, Progress } from 'antd'
import { useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useQueryClient } from '@tanstack/react-query'
import { api, ask, type Schemas } from '@/api/client'
import { Trouble } from '@/kit/page'
import { inPortions, type Portion, type Tally } from './bulk'

const PORTION = 100

export function ReplayAll({ failure, close }: { failure: Schemas['Failure']; close: () => void }) {
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
      await inPortions(failure.what === 'delivery' ? deliveries(failure, total) : events(failure), () => stop.current, setTally)
    } catch (failed) {
      setError(failed)
    }
    for (const key of ['failures', 'overview', 'deliveries']) void queries.invalidateQueries({ queryKey: [key] })
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

/** At most as many as there were at the beginning: what fails again at once is not replayed for ever. */
function deliveries(failure: Schemas['Failure'], total: number): () => Promise<Portion> {
  let left = total
  const until = new Date().toISOString()
  return async () => {
    const limit = Math.min(PORTION, left)
    const made = await ask(api.POST('/api/v1/deliveries/replay', {
      body: { state: failure.state, connection: failure.connection, route: failure.route, reason: failure.reason, until, limit, dry_run: false, mapping: 'planned' },
    }))
    left -= Math.max(made.replayed, Math.min(limit, made.matched))
    return { replayed: made.replayed, missed: Math.max(0, Math.min(limit, made.matched) - made.replayed), more: left > 0 && made.matched > made.replayed }
  }
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
