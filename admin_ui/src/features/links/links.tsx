/** Which record here is which record there: a picture, the records, how they came together, joining and parting. */
import '@/style/data.css'
import { MergeCellsOutlined, SplitCellsOutlined, UserOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Input, Popconfirm, Table } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { At, Copyable, Entity } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange } from '@/kit/query'
import { JoinHistory, MergeDialog, Pieces } from './joining'
import { Picture } from './picture'

type Shown = Schemas['Link']
const keyOf = (one: Shown['records'][number]): string => `${one.connection}\u0000${one.record}`

export default function LinksPage() {
  const { t } = useTranslation('links')
  const [params, setParams] = useSearchParams()
  const q = params.get('q') ?? ''
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const found = useQuery({ queryKey: ['links', q], enabled: q !== '', queryFn: () => ask(api.GET('/api/v1/links', { params: { query: { q } } })) })
  return (
    <Page title={t('title')} lead={t('lead')}>
      <search className="filters"><Input.Search size="large" style={{ maxWidth: 460 }} placeholder={t('find')} aria-label={t('find')} value={text} onChange={(event) => setText(event.target.value)} onSearch={(value) => setParams(value.trim() ? { q: value.trim() } : {})} allowClear autoFocus /></search>
      {q === '' ? <div className="panel"><Nothing title={t('start')} hint={t('startHint')} /></div> : (
        <Loaded query={found}>
          {({ items }) => items.length === 0 ? <div className="panel"><Nothing title={t('none', { q })} hint={t('noneHint')} /></div> : <div className="stack">{items.map((one) => <Group key={one.link} link={one} />)}</div>}
        </Loaded>
      )}
    </Page>
  )
}

function Group({ link }: { link: Shown }) {
  const { t } = useTranslation('links')
  const { may } = useSession()
  const [chosen, setChosen] = useState<string[]>([])
  const [merging, setMerging] = useState(false)
  const split = useChange<undefined, Schemas['Parted']>(
    () => ask(api.POST('/api/v1/links/{id}/split', { params: { path: { id: link.link } }, body: { records: link.records.filter((one) => chosen.includes(keyOf(one))).map(({ connection, record }) => ({ connection, record })), reason: '' } })),
    { stale: ['links', 'customer', 'customers', 'matches'], done: t('parted'), then: () => setChosen([]) },
  )
  const name = link.records.find((one) => one.number)?.number ?? link.records[0]?.record ?? link.link
  const operator = may('operator')
  return (
    <section className="panel" aria-label={t('link', { id: link.link })}>
      <div className="row apart">
        <h2 className="row"><Entity of={link.entity} />{name}<small className="dim">{t('link', { id: link.link })}</small></h2>
        <span className="row">
          {link.entity === 'customer' && <Link to={`/customers/${link.link}`}><Button icon={<UserOutlined />}>{t('openCustomer')}</Button></Link>}
          {operator && <Button icon={<MergeCellsOutlined />} onClick={() => setMerging(true)}>{t('merge')}</Button>}
        </span>
      </div>
      <Picture link={link} />
      <div className="table-scroll"><Table<Shown['records'][number]>
        className="link-table" size="small" dataSource={link.records} rowKey={keyOf} pagination={false} aria-label={t('table')}
        rowSelection={operator && link.records.length > 1 ? { selectedRowKeys: chosen, onChange: (keys) => setChosen(keys.map(String)), getCheckboxProps: (one) => ({ 'aria-label': `${one.connection} ${one.record}` }) } : undefined}
        columns={[
          { title: t('system'), dataIndex: 'connection', render: (text: string) => <strong>{text}</strong> },
          { title: t('record'), key: 'record', render: (_, one) => <Copyable text={one.record} label={one.connection} /> },
          { title: t('number'), key: 'number', render: (_, one) => one.number ?? <span className="dim">—</span> },
          { title: t('version'), key: 'version', render: (_, one) => <At iso={one.version_at} /> },
          { title: t('wrote'), key: 'wrote', render: (_, one) => <At iso={one.wrote_at} /> },
          { title: '', key: 'events', render: (_, one) => <Link to={`/events?q=${encodeURIComponent(one.number ?? one.record)}`}>{t('openEvents')}</Link> },
        ]}
      /></div>
      {operator && link.records.length > 1 && (
        <p className="row split-bar">
          <Popconfirm title={t('split', { n: chosen.length })} description={t('splitSure')} onConfirm={() => split.mutate(undefined)} disabled={chosen.length === 0 || chosen.length === link.records.length} styles={{ root: { maxWidth: 360 } }}>
            <Button size="small" icon={<SplitCellsOutlined />} disabled={chosen.length === 0 || chosen.length === link.records.length} loading={split.isPending}>{chosen.length === 0 ? t('splitNone') : t('split', { n: chosen.length })}</Button>
          </Popconfirm>
          {chosen.length === link.records.length && <span className="dim">{t('splitAll')}</span>}
        </p>
      )}
      <Pieces kind="link" link={link.link} pieces={link.pieces ?? []} />
      <details className="link-history"><summary>{t('history')}</summary><JoinHistory history={link.history} empty={t('historyNone')} /></details>
      {merging && <MergeDialog kind="link" self={link.link} name={name} close={() => setMerging(false)} />}
    </section>
  )
}
