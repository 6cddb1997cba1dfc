/** Edit and replay: the text as it is, what would change, and why; the hub compares, masks and keeps. */
import '@/style/data.css'
import { useQuery } from '@tanstack/react-query'
import { Alert, Input, Modal } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { At } from '@/kit/bits'
import { Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'

const STALE = ['timeline', 'events', 'failures', 'overview', 'edits']

/** Whether something of an event may be edited: it could not be planned, or some of it was not delivered. */
export function mendable(told: Schemas['Timeline'] | undefined): boolean {
  if (!told) return false
  const { state } = told.event
  return state === 'parked' || state === 'skipped' || (state === 'planned' && told.deliveries.some((one) => one.state === 'dead' || one.state === 'parked'))
}

export function Edit({ id, reveal, close }: { id: string; reveal: boolean; close: () => void }) {
  const { t } = useTranslation('events')
  const { t: common } = useTranslation()
  const path = { id }
  const found = useQuery({ queryKey: ['edit', id, reveal], gcTime: 0, staleTime: Infinity, refetchOnWindowFocus: false, queryFn: () => ask(api.GET('/api/v1/events/{id}/edit', { params: { path, query: { reveal } } })) })
  const [typed, setTyped] = useState<string | null>(null)
  const [note, setNote] = useState('')
  const [seen, setSeen] = useState<{ text: string; changes: Schemas['ValueChange'][] } | null>(null)
  const text = typed ?? found.data?.text ?? ''
  const what = found.data?.what
  const send = (dry_run: boolean) => ask(api.POST('/api/v1/events/{id}/edit', { params: { path }, body: { what: what ?? 'payload', text, note: note.trim() || '—', dry_run } }))
  const compare = useChange(() => send(true), { quiet: true, then: (made) => setSeen({ text, changes: made.changes }) })
  const replay = useChange(() => send(false), { quiet: true, stale: STALE, done: t('editDone'), then: close })
  const compared = seen !== null && seen.text === text
  const ready = compared && seen.changes.length > 0
  return (
    <Modal
      open
      width={860}
      title={t('edit')}
      onCancel={close}
      cancelText={common('cancel')}
      okText={ready ? t('editGo') : t('compare')}
      okButtonProps={{ loading: compare.isPending || replay.isPending, disabled: !what || (ready && !note.trim()) }}
      onOk={() => (ready ? replay.mutate(undefined) : compare.mutate(undefined))}
    >
      {found.error && <Trouble error={found.error} />}
      {found.data && !what && <Alert type="info" title={t('editNone')} />}
      {what && (
        <div className="stack">
          <p className="dim">{t(what === 'payload' ? 'editPayload' : 'editCanonical')}{!reveal && ` ${t('editMasked')}`}</p>
          <Input.TextArea className="mono" rows={14} spellCheck={false} value={text} onChange={(event) => setTyped(event.target.value)} aria-label={t(what)} />
          {(compare.error ?? replay.error) && <Trouble error={compare.error ?? replay.error} />}
          {compared && (ready ? <Changes of={seen.changes} /> : <Alert type="info" title={t('editSame')} />)}
          {ready && <Input value={note} maxLength={500} onChange={(event) => setNote(event.target.value)} placeholder={t('editNote')} aria-label={t('editNote')} />}
        </div>
      )}
    </Modal>
  )
}

function Changes({ of }: { of: Schemas['ValueChange'][] }) {
  const { t } = useTranslation('events')
  return (
    <div className="table-scroll">
      <table className="differences">
        <thead><tr><th>{t('field')}</th><th>{t('was')}</th><th>{t('becomes')}</th></tr></thead>
        <tbody>
          {of.map((one) => <tr key={one.path}><th className="mono">{one.path || '·'}</th><td className="side-right"><Value of={one.before} /></td><td className="side-left"><Value of={one.after} /></td></tr>)}
        </tbody>
      </table>
    </div>
  )
}

function Value({ of }: { of: unknown }) {
  if (of === null || of === undefined) return <span className="dim">—</span>
  return <span>{typeof of === 'object' ? JSON.stringify(of) : String(of)}</span>
}

/** What people changed about this event, kept for good. */
export function Edits({ id }: { id: string }) {
  const { t } = useTranslation('events')
  const found = useQuery({ queryKey: ['edits', id], queryFn: () => ask(api.GET('/api/v1/events/{id}/edits', { params: { path: { id } } })) })
  const items = found.data?.items ?? []
  if (items.length === 0) return null
  return (
    <section className="section" aria-label={t('edits')}>
      <h2>{t('edits')}</h2>
      <div className="stack">
        {items.map((one) => (
          <article key={one.id} className="panel">
            <p><strong>{one.note}</strong> <span className="dim">{t(one.what)} · {one.by} · <At iso={one.at} /></span></p>
            <Changes of={one.changes} />
          </article>
        ))}
      </div>
    </section>
  )
}
