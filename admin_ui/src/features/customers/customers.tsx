/** Customers over all systems: found by name, phone, mail or any id; and those who may be one. */
import { useQuery } from '@tanstack/react-query'
import '@/style/data.css'
import { Input, Tabs } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { List } from '@/kit/list'
import { Nothing, Page } from '@/kit/page'
import { usePaged } from '@/kit/query'
import { Matches } from './matches'

type Customer = Schemas['Customer']

export default function CustomersPage() {
  const { t } = useTranslation('customers')
  const [params, setParams] = useSearchParams()
  const q = params.get('q') ?? ''
  const view = params.get('view') === 'matches' ? 'matches' : 'all'
  const open = useQuery({ queryKey: ['matches', 'count'], queryFn: () => ask(api.GET('/api/v1/customers/matches', { params: { query: { limit: 100 } } })) })
  const count = open.data?.items.length ?? 0
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Tabs activeKey={view} onChange={(key) => setParams(key === 'matches' ? { view: key } : {}, { replace: true })} items={[
        { key: 'all', label: t('tabs.all'), children: <Everybody q={q} find={(text) => setParams(text ? { q: text } : {}, { replace: true })} /> },
        { key: 'matches', label: <span className="row">{t('tabs.matches')}{count > 0 && <span className="tally">{count > 99 ? '99+' : count}</span>}</span>, children: <Matches /> },
      ]} />
    </Page>
  )
}

function Everybody({ q, find }: { q: string; find: (text: string) => void }) {
  const { t } = useTranslation('customers')
  const navigate = useNavigate()
  const [text, setText] = useState(q)
  const pages = usePaged<Customer>(['customers', q], (cursor) => ask(api.GET('/api/v1/customers', { params: { query: { q: q || undefined, limit: 30, cursor } } })))
  return (
    <>
      <search className="filters">
        <Input.Search size="large" style={{ maxWidth: 460 }} placeholder={t('find')} aria-label={t('find')} value={text} onChange={(event) => setText(event.target.value)} onSearch={(value) => find(value.trim())} allowClear />
        <span className="dim">{t('found')}</span>
      </search>
      <List<Customer>
        pages={pages} label={t('title')} rowKey={(one) => one.link} open={(one) => void navigate(`/customers/${one.link}`)}
        empty={q ? <Nothing title={t('none', { q })} hint={t('noneHint')} /> : <Nothing title={t('empty')} hint={t('emptyHint')} />}
        columns={[
          { title: t('name'), key: 'name', render: (_, one) => <span className="who"><span className="avatar" aria-hidden="true">{nameOf(one).slice(0, 1) || '?'}</span><Link to={`/customers/${one.link}`}><strong>{nameOf(one) || t('unnamed', { id: one.link })}</strong></Link></span> },
          { title: t('phone'), key: 'phone', render: (_, one) => <span className="num">{said(one, 'phone') || '—'}</span> },
          { title: t('level'), key: 'level', render: (_, one) => (said(one, 'level') ? <span className="tag">{said(one, 'level')}</span> : <span className="dim">—</span>) },
          { title: t('owner'), key: 'owner', render: (_, one) => said(one, 'owner') || <span className="dim">—</span> },
          { title: t('systems'), key: 'systems', render: (_, one) => <Systems of={one.connections} /> },
        ]}
      />
    </>
  )
}

export const said = (one: Pick<Customer, 'profile'>, name: string): string => {
  const value = (one.profile as Record<string, unknown>)[name]
  return value === null || value === undefined ? '' : Array.isArray(value) ? value.join('、') : String(value)
}

export const nameOf = (one: Pick<Customer, 'profile'>): string => said(one, 'name') || said(one, 'company')

export function Systems({ of }: { of: string[] }) {
  return <span className="row">{of.map((one) => <span key={one} className="tag">{one}</span>)}</span>
}
