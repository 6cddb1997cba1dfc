/** Many conflicts by one system's word: chosen, counted, one after the other, and stopped when somebody says so. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, Modal, Progress, Select } from 'antd'
import { useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask } from '@/api/client'
import { inPortions, type Tally } from '@/features/failures/bulk'
import { useLanguage } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { Loaded, Trouble } from '@/kit/page'
import { fitting, type Conflict } from './choosing'

const MOST = 1000
const PORTION = 5

export function Bulk({ close }: { close: () => void }) {
  const { t } = useTranslation('conflicts')
  const { t: common } = useTranslation()
  const language = useLanguage()
  const queries = useQueryClient()
  const [connection, setConnection] = useState<string>()
  const [field, setField] = useState<string>()
  const [tally, setTally] = useState<Tally | null>(null)
  const [error, setError] = useState<unknown>(null)
  const stop = useRef(false)
  const open = useQuery({ queryKey: ['conflicts', 'bulk'], staleTime: 0, queryFn: everyOpen })
  const all = open.data?.items ?? []
  const chosen = connection ? fitting(all, connection, field) : []
  const [total, setTotal] = useState(0)
  const running = tally !== null && !tally.over && !error

  async function run(): Promise<void> {
    stop.current = false
    setError(null)
    setTotal(chosen.length)
    setTally({ done: 0, skipped: 0, over: false, stopped: false })
    const left = [...chosen]
    try {
      await inPortions(async () => {
        const now = left.splice(0, PORTION)
        let done = 0
        for (const one of now) {
          const answer = await api.POST('/api/v1/conflicts/{id}/settle', { params: { path: { id: one.id } }, body: { connection: connection ?? '' } as { connection: string } })
          if (answer.response.ok) done += 1
        }
        return { replayed: done, missed: now.length - done, more: left.length > 0 }
      }, () => stop.current, setTally)
    } catch (failed) {
      setError(failed)
    }
    for (const key of ['conflicts', 'overview', 'customer']) void queries.invalidateQueries({ queryKey: [key] })
  }

  const done = (tally?.done ?? 0) + (tally?.skipped ?? 0)
  const systems = [...new Set(all.flatMap((one) => one.sides.map((side) => side.connection)))].sort()
  const fields = [...new Set(all.map((one) => one.field))].sort()
  return (
    <Modal
      open title={t('bulkTitle')} onCancel={() => { stop.current = true; close() }} mask={{ closable: !running }} cancelText={common('cancel')}
      okText={tally?.over ? t('close') : running ? t('stop') : chosen.length > 0 ? t('bulkGo', { n: chosen.length }) : t('bulkNone')}
      okButtonProps={{ danger: running, disabled: !tally && chosen.length === 0 }} cancelButtonProps={{ style: tally ? { display: 'none' } : undefined }}
      onOk={() => (tally?.over ? close() : running ? void (stop.current = true) : void run())}
    >
      <p className="dim">{t('bulkHint')}</p>
      {!tally && (
        <Loaded query={open} rows={2}>
          {() => (
            <div className="stack-tight">
              <Select placeholder={t('bulkWho')} aria-label={t('bulkWho')} value={connection} onChange={setConnection} options={systems.map((one) => ({ value: one, label: one }))} />
              <Select allowClear placeholder={t('bulkAny')} aria-label={t('bulkField')} value={field} onChange={(value?: string) => setField(value)} options={fields.map((one) => ({ value: one, label: fieldName(one, language) }))} />
              {open.data?.more && <p className="dim">{t('more')}</p>}
            </div>
          )}
        </Loaded>
      )}
      {tally && (
        <div aria-live="polite">
          <Progress percent={tally.over && !tally.stopped ? 100 : Math.min(99, Math.round((done / Math.max(1, total)) * 100))} status={error ? 'exception' : tally.over ? 'success' : 'active'} />
          <p>{!tally.over ? t('bulkBusy', { done: tally.done, total }) : tally.stopped ? t('bulkStopped', { n: tally.done }) : t('bulkDone', { n: tally.done })}</p>
          {tally.skipped > 0 && <Alert type="info" title={t('bulkMissed', { n: tally.skipped })} />}
        </div>
      )}
      {Boolean(error) && <Trouble error={error} />}
    </Modal>
  )
}

async function everyOpen(): Promise<{ items: Conflict[]; more: boolean }> {
  const items: Conflict[] = []
  let cursor: string | undefined
  do {
    const page = await ask(api.GET('/api/v1/conflicts', { params: { query: { state: 'open', limit: 200, cursor } } }))
    items.push(...page.items)
    cursor = page.next_cursor ?? undefined
  } while (cursor && items.length < MOST)
  return { items, more: cursor !== undefined }
}
