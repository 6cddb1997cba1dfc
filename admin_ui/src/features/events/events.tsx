/** Searching events: by number, source, entity, state and time; a million rows page by cursor. */
import { ReloadOutlined } from '@ant-design/icons'
import { Button, DatePicker, Input, Select } from 'antd'
import dayjs from 'dayjs'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useLive } from '@/app/live'
import { useConnections } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { At, Entity, State, useEntity } from '@/kit/bits'
import { List } from '@/kit/list'
import { Nothing, Page } from '@/kit/page'
import { usePaged } from '@/kit/query'

const ENTITIES = ['order', 'shipment', 'customer', 'product', 'inventory', 'after_sale', 'message', 'approval']
const STATES = ['received', 'planned', 'skipped', 'parked']
const NAMES = ['q', 'connection', 'entity', 'state', 'since', 'until'] as const

export default function EventsPage() {
  const { t } = useTranslation('events')
  const { t: common } = useTranslation()
  const [params, setParams] = useSearchParams()
  const navigate = useNavigate()
  const say = useSay()
  const entity = useEntity()
  const connections = useConnections()
  const live = useLive()
  const given = Object.fromEntries(NAMES.map((name) => [name, params.get(name) ?? undefined])) as Partial<Record<(typeof NAMES)[number], string>>
  const [text, setText] = useState(given.q ?? '')
  const [seen, setSeen] = useState<number | undefined>()
  const pages = usePaged(['events', given], (cursor) => ask(api.GET('/api/v1/events', { params: { query: { ...given, limit: 50, cursor } } })))
  useEffect(() => setSeen((now) => now ?? live.marks.events), [live.marks.events])

  function set(part: Record<string, string | undefined>): void {
    const next = new URLSearchParams(params)
    for (const [name, value] of Object.entries(part)) value ? next.set(name, value) : next.delete(name)
    setParams(next, { replace: true })
  }
  const news = seen !== undefined && live.marks.events !== undefined && live.marks.events > seen
  return (
    <Page title={t('title')} lead={t('lead')} actions={
      <Button type={news ? 'primary' : 'default'} ghost={news} icon={<ReloadOutlined />} onClick={() => { setSeen(live.marks.events); void pages.refetch() }}>{news ? t('fresh') : common('refresh')}</Button>
    }>
      <search className="filters">
        <Input.Search size="middle" style={{ width: 260 }} placeholder={t('find')} aria-label={t('find')} allowClear value={text} onChange={(event) => setText(event.target.value)} onSearch={(q) => set({ q: q.trim() || undefined })} />
        <Select style={{ minWidth: 150 }} allowClear placeholder={t('connection')} aria-label={t('connection')} value={given.connection} onChange={(value?: string) => set({ connection: value })} options={connections.data?.map((one) => ({ value: one.key, label: one.key }))} showSearch />
        <Select style={{ minWidth: 130 }} allowClear placeholder={t('entity')} aria-label={t('entity')} value={given.entity} onChange={(value?: string) => set({ entity: value })} options={ENTITIES.map((one) => ({ value: one, label: entity(one) }))} />
        <Select style={{ minWidth: 130 }} allowClear placeholder={t('state')} aria-label={t('state')} value={given.state} onChange={(value?: string) => set({ state: value })} options={STATES.map((one) => ({ value: one, label: common(`state.${one as 'parked'}`) }))} />
        <DatePicker.RangePicker
          showTime={{ format: 'HH:mm' }} format="MM-DD HH:mm" placeholder={[t('since'), t('until')]} allowEmpty={[true, true]} aria-label={`${t('since')} ${t('until')}`}
          value={[given.since ? dayjs(given.since) : null, given.until ? dayjs(given.until) : null]}
          onChange={(range) => set({ since: range?.[0]?.toISOString(), until: range?.[1]?.toISOString() })}
        />
        {NAMES.some((name) => given[name]) && <Button type="link" onClick={() => { setText(''); setParams({}, { replace: true }) }}>{t('reset')}</Button>}
      </search>
      <List<Schemas['Event']>
        pages={pages}
        label={t('title')}
        rowKey={(one) => one.id}
        open={(one) => void navigate(`/events/${one.id}`)}
        empty={<Nothing title={t('emptyTitle')} hint={t('emptyHint')} />}
        columns={[
          { title: t('received'), key: 'at', width: 150, render: (_, one) => <At iso={one.received_at} /> },
          { title: t('connection'), dataIndex: 'connection', width: 140 },
          { title: t('entity'), key: 'entity', width: 90, render: (_, one) => <Entity of={one.entity} /> },
          { title: t('number'), key: 'number', render: (_, one) => <Link to={`/events/${one.id}`} className="mono">{one.number ?? one.record ?? `#${one.id}`}</Link> },
          { title: t('state'), key: 'state', width: 120, render: (_, one) => <State of={one.state} /> },
          { title: t('reason'), key: 'why', render: (_, one) => <span className="dim clip" style={{ maxWidth: 380 }}>{say(one.words) || one.message}</span> },
        ]}
      />
    </Page>
  )
}
