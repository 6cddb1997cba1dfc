/** What a comparison found of one kind: field by field, chosen, repaired or ignored. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Button, Popconfirm, Select, Table } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { spoken } from '@/features/conflicts/choosing'
import { useLanguage, useSay } from '@/i18n'
import { fieldName, valueName } from '@/i18n/fields'
import { Loaded, Nothing } from '@/kit/page'
import { useChange, usePaged } from '@/kit/query'
import { tally, type FindingKind, type Run } from './figures'

type Finding = Schemas['Finding']
type FindingState = Finding['state']
const STATES: FindingState[] = ['open', 'repairing', 'repaired', 'failed', 'ignored']
const TONE: Record<FindingState, string> = { open: 'wait', repairing: 'busy', repaired: 'good', failed: 'bad', ignored: 'off' }
const FIXABLE = ['open', 'failed']

export function Findings({ run, kind, reveal }: { run: Run; kind: FindingKind; reveal: boolean }) {
  const { t } = useTranslation('reconciliations')
  const { t: common } = useTranslation()
  const say = useSay()
  const { may } = useSession()
  const queries = useQueryClient()
  const [state, setState] = useState<FindingState>()
  const [chosen, setChosen] = useState<string[]>([])
  const pages = usePaged<Finding>(['findings', run.id, kind, state, reveal], (cursor) => ask(api.GET('/api/v1/reconciliations/{id}/findings', { params: { path: { id: run.id }, query: { kind, state, reveal, limit: 50, cursor } } })))
  // Findings follow their events: when the numbers of the comparison move, the list is asked for again.
  const moved = JSON.stringify(run.found)
  useEffect(() => void queries.invalidateQueries({ queryKey: ['findings', run.id] }), [queries, run.id, moved])
  const body = (ids?: string[]) => (ids ? { ids, kind: null } : { ids: null, kind })
  const how = { stale: ['reconciliation', 'findings', 'reconciliations'], then: () => setChosen([]) }
  const repair = useChange<string[] | undefined, Schemas['Touched']>((ids) => ask(api.POST('/api/v1/reconciliations/{id}/repair', { params: { path: { id: run.id } }, body: body(ids) as never })), how)
  const ignore = useChange<string[], Schemas['Touched']>((ids) => ask(api.POST('/api/v1/reconciliations/{id}/ignore', { params: { path: { id: run.id } }, body: body(ids) as never })), how)
  const fixable = tally(run, kind, ...FIXABLE)
  const from = kind === 'extra' ? run.right : run.left
  const operator = may('operator')
  if (tally(run, kind) === 0) return <Nothing title={t('nothing', { kind: t(kind) })} hint={t('nothingHint')} art={false} />
  return (
    <>
      <div className="row apart findings-bar">
        <span className="row">
          <span className="dim">{t(`kindHint.${kind}`, { left: run.left, right: run.right })}</span>
          <Select allowClear size="small" style={{ width: 130 }} placeholder={t('stateFilter')} aria-label={t('stateFilter')} value={state} onChange={(value?: FindingState) => { setState(value); setChosen([]) }} options={STATES.map((one) => ({ value: one, label: t(`finding.${one}`) }))} />
        </span>
        {operator && (
          <span className="row">
            {chosen.length > 0 && <Button loading={ignore.isPending} onClick={() => ignore.mutate(chosen)}>{t('ignoreMany', { n: chosen.length })}</Button>}
            {chosen.length > 0
              ? <Popconfirm title={t('repair', { n: chosen.length })} description={t('repairSure', { from })} onConfirm={() => repair.mutate(chosen)} styles={{ root: { maxWidth: 380 } }}><Button type="primary" loading={repair.isPending}>{t('repair', { n: chosen.length })}</Button></Popconfirm>
              : <Popconfirm title={t('repairAll', { n: fixable })} description={t('repairSure', { from })} onConfirm={() => repair.mutate(undefined)} disabled={fixable === 0} styles={{ root: { maxWidth: 380 } }}><Button type="primary" disabled={fixable === 0} loading={repair.isPending}>{t('repairAll', { n: fixable })}</Button></Popconfirm>}
          </span>
        )}
      </div>
      <Loaded query={{ data: pages.isPending ? undefined : pages.items, error: pages.error, isPending: pages.isPending, refetch: pages.refetch }} rows={4}>
        {(items) => (
          <div className="table-scroll"><Table<Finding>
            dataSource={items} rowKey="id" pagination={false} size="middle" aria-label={t(kind)} locale={{ emptyText: t('nothingHint') }}
            rowSelection={operator ? { selectedRowKeys: chosen, onChange: (keys) => setChosen(keys.map(String)), getCheckboxProps: (one) => ({ disabled: !FIXABLE.includes(one.state), 'aria-label': one.number ?? one.left_record ?? one.id }) } : undefined}
            expandable={kind === 'different' ? { expandedRowRender: (one) => <Differences finding={one} run={run} />, defaultExpandAllRows: items.length <= 5 } : { expandedRowRender: (one) => <Recorded finding={one} run={run} reveal={reveal} /> }}
            columns={[
              { title: t('number'), key: 'number', render: (_, one) => <span className="mono">{one.number ?? one.left_record ?? one.right_record}</span> },
              ...(kind !== 'extra' ? [{ title: run.left, key: 'left', render: (_: unknown, one: Finding) => <code>{one.left_record ?? '—'}</code> }] : []),
              ...(kind !== 'missing' ? [{ title: run.right, key: 'right', render: (_: unknown, one: Finding) => <code>{one.right_record ?? '—'}</code> }] : []),
              ...(kind === 'different' ? [{ title: t('diff'), key: 'diff', render: (_: unknown, one: Finding) => <Fields finding={one} /> }] : []),
              { title: t('status'), key: 'state', render: (_, one) => <span className={`state tone-${TONE[one.state]}`}><i />{t(`finding.${one.state}`)}</span> },
              { title: t('why'), key: 'why', render: (_, one) => <span className="dim">{say(one.words)}{one.event_id && <> <Link to={`/events/${one.event_id}`}>{t('event')}</Link></>}</span> },
              { title: '', key: 'acts', align: 'right', render: (_, one) => operator && FIXABLE.includes(one.state) && <span className="row acts"><Button size="small" type="text" onClick={() => ignore.mutate([one.id])}>{t('ignoreOne')}</Button><Button size="small" onClick={() => repair.mutate([one.id])}>{t('repairOne')}</Button></span> },
            ]}
          /></div>
        )}
      </Loaded>
      {pages.hasNextPage && <div className="list-end"><Button loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{common('more')}</Button></div>}
    </>
  )
}

function Fields({ finding }: { finding: Finding }) {
  const { t } = useTranslation('reconciliations')
  const language = useLanguage()
  const names = finding.fields.map((one) => fieldName(one.path, language))
  return <span className="row">{names.slice(0, 3).map((one) => <span key={one} className="tag">{one}</span>)}{names.length > 3 && <span className="dim">{t('more3', { n: names.length })}</span>}</span>
}

function Differences({ finding, run }: { finding: Finding; run: Run }) {
  const { t } = useTranslation('reconciliations')
  const language = useLanguage()
  const value = (of: unknown) => spoken(of) ? <span>{valueName(spoken(of), language)}</span> : <span className="dim">{t('emptyValue')}</span>
  return (
    <table className="differences">
      <thead><tr><th scope="col">{t('field')}</th><th scope="col">{run.left}</th><th scope="col">{run.right}</th></tr></thead>
      <tbody>{finding.fields.map((one) => <tr key={one.path}><th scope="row">{fieldName(one.path, language)}</th><td className="side-left">{value(one.left)}</td><td className="side-right">{value(one.right)}</td></tr>)}</tbody>
    </table>
  )
}

/** A record that only one side has: what is known of it. */
function Recorded({ finding, run, reveal }: { finding: Finding; run: Run; reveal: boolean }) {
  const { t } = useTranslation('reconciliations')
  const connection = finding.left_record ? run.left : run.right
  const record = finding.left_record ?? finding.right_record ?? ''
  const events = useQuery({ queryKey: ['finding-event', connection, record, reveal], queryFn: () => ask(api.GET('/api/v1/events', { params: { query: { connection, q: record, limit: 1 } } })) })
  const event = events.data?.items[0]
  return (
    <p className="row">
      <span className="dim">{t('record')}</span><code>{connection} {record}</code>
      {finding.link && <Link to={`/links?q=${encodeURIComponent(record)}`}>{t('link')}</Link>}
      {event && <Link to={`/events/${event.id}`}>{event.words ? <Why words={event.words} /> : `#${event.id}`}</Link>}
    </p>
  )
}

function Why({ words }: { words: Schemas['Words'] }) {
  return <>{useSay()(words)}</>
}
