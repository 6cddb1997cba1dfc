/** Joining and parting by hand, the same for customers and for links: who else it is, why, and how it came about. */
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Input, Modal, Popconfirm, Radio } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { At } from '@/kit/bits'
import { Loaded, Nothing, Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'

export type Kind = 'customer' | 'link'
const CAUSES = ['identity', 'delivery', 'person', 'split'] as const
const isCause = (text: string): text is (typeof CAUSES)[number] => (CAUSES as readonly string[]).includes(text)
const STALE = ['customer', 'customers', 'links', 'link', 'matches']

interface Found {
  link: string
  name: string
  more: string
}

async function search(kind: Kind, q: string): Promise<Found[]> {
  if (kind === 'customer') {
    const { items } = await ask(api.GET('/api/v1/customers', { params: { query: { q, limit: 20 } } }))
    return items.map((one) => {
      const told = one.profile as Record<string, string | null>
      return { link: one.link, name: told.name || told.company || `#${one.link}`, more: [told.phone, told.email, one.connections.join('、')].filter(Boolean).join(' · ') }
    })
  }
  const { items } = await ask(api.GET('/api/v1/links', { params: { query: { q, limit: 20 } } }))
  return items.map((one) => ({ link: one.link, name: one.records.find((each) => each.number)?.number ?? one.records[0]?.record ?? `#${one.link}`, more: one.records.map((each) => `${each.connection} ${each.record}`).join(' · ') }))
}

export function MergeDialog({ kind, self, name, close, done }: { kind: Kind; self: string; name: string; close: () => void; done?: (link: string) => void }) {
  const { t } = useTranslation('links')
  const { t: common } = useTranslation()
  const [text, setText] = useState('')
  const [q, setQ] = useState('')
  const [other, setOther] = useState<string | null>(null)
  const [reason, setReason] = useState('')
  const found = useQuery({ queryKey: ['merge-search', kind, q], enabled: q !== '', queryFn: () => search(kind, q) })
  const merge = useChange<string, Schemas['Link']>(
    (link) => kind === 'customer'
      ? ask(api.POST('/api/v1/customers/{link}/merge', { params: { path: { link: self } }, body: { others: [link], reason } }))
      : ask(api.POST('/api/v1/links/merge', { body: { links: [self, link], reason } })),
    { stale: STALE, quiet: true, done: t('merged'), then: (made) => { done?.(made.link); close() } },
  )
  return (
    <Modal open title={t(`mergeTitle.${kind}`, { name })} onCancel={close} okText={t('mergeGo')} cancelText={common('cancel')} okButtonProps={{ disabled: other === null, loading: merge.isPending }} onOk={() => other !== null && merge.mutate(other)} width={600}>
      <p className="dim">{t(`mergeHint.${kind}`)}</p>
      <Input.Search value={text} onChange={(event) => setText(event.target.value)} onSearch={(value) => { setQ(value.trim()); setOther(null) }} placeholder={t(`mergeFind.${kind}`)} aria-label={t(`mergeFind.${kind}`)} enterButton autoFocus />
      {q !== '' && (
        <div className="pick-list">
          <Loaded query={found} rows={2}>
            {(all) => {
              const others = all.filter((one) => one.link !== self)
              if (others.length === 0) return <Nothing title={t('none', { q })} hint={t('noneHint')} art={false} />
              return (
                <Radio.Group value={other} onChange={(event) => setOther(event.target.value as string)} className="radios" aria-label={t('mergeWith')}>
                  {others.map((one) => <Radio key={one.link} value={one.link}><strong>{one.name}</strong><small className="dim">{one.more}</small></Radio>)}
                </Radio.Group>
              )
            }}
          </Loaded>
        </div>
      )}
      {other !== null && <><label className="field-label" htmlFor="merge-reason">{t('reason')} <span className="dim">{common('optional')}</span></label><Input id="merge-reason" value={reason} onChange={(event) => setReason(event.target.value)} maxLength={200} placeholder={t('reasonHint')} /><Alert className="after" type="info" showIcon title={t('mergeSure')} /></>}
      {merge.error && <div className="after"><Trouble error={merge.error} /></div>}
    </Modal>
  )
}

/** The groups of which something was joined, each of which can be had back. */
export function Pieces({ kind, link, pieces, done }: { kind: Kind; link: string; pieces: Schemas['Piece'][]; done?: (rest: string) => void }) {
  const { t } = useTranslation('links')
  const { may } = useSession()
  const split = useChange<string, Schemas['Parted']>(
    (piece) => kind === 'customer'
      ? ask(api.POST('/api/v1/customers/{link}/split', { params: { path: { link } }, body: { piece, records: [], reason: '' } }))
      : ask(api.POST('/api/v1/links/{id}/split', { params: { path: { id: link } }, body: { piece, records: [], reason: '' } })),
    { stale: STALE, done: t('parted'), then: (made) => done?.(made.rest.link) },
  )
  if (pieces.length === 0) return null
  return (
    <div className="pieces">
      <h3>{t('pieces')}</h3>
      <ul>
        {pieces.map((one) => (
          <li key={one.link}>
            <span className="grow">{one.records.map((name) => <code key={name} className="tag">{name.split('/').filter((_, i) => i !== 1).join(' ')}</code>)}</span>
            {may('operator') && <Popconfirm title={t('unmerge')} description={t('unmergeSure')} onConfirm={() => split.mutate(one.link)} styles={{ root: { maxWidth: 360 } }}><Button size="small" loading={split.isPending && split.variables === one.link}>{t('unmerge')}</Button></Popconfirm>}
          </li>
        ))}
      </ul>
    </div>
  )
}

export function JoinHistory({ history, empty }: { history: Schemas['Joined'][]; empty: string }) {
  const { t } = useTranslation('links')
  const cause = (text: string): string => (isCause(text) ? t(`cause.${text}`) : /^match \d+$/.test(text) ? t('cause.match') : text)
  if (history.length === 0) return <p className="dim">{empty}</p>
  return (
    <ol className="joins">
      {[...history].reverse().map((one, i) => (
        <li key={i}><span className="dim"><At iso={one.at} /></span><span><code>{one.record.split('/').filter((_, at) => at !== 1).join(' ')}</code> {one.was === one.became ? t('stayed') : t('moved', { was: one.was, became: one.became })}<small className="dim">{cause(one.cause)}{one.by && ` · ${one.by}`}</small></span></li>
      ))}
    </ol>
  )
}
