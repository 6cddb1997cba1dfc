/** Conflicts: who said what and when, by which rule; settled by a click, or many at once by one system's word. */
import '@/style/data.css'
import { EyeOutlined, OrderedListOutlined, UnorderedListOutlined } from '@ant-design/icons'
import { Button, Segmented, Select, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, ask } from '@/api/client'
import { useSession } from '@/app/session'
import { useLanguage, useSay } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { At, useEntity } from '@/kit/bits'
import { Nothing, Page, Trouble } from '@/kit/page'
import { useChange, usePaged } from '@/kit/query'
import { Bulk } from './bulk'
import { later, spoken, typeable, type Conflict } from './choosing'
import { Other } from './other'

const ENTITIES = ['customer', 'order', 'shipment', 'product', 'inventory', 'after_sale'] as const

export default function ConflictsPage() {
  const { t } = useTranslation('conflicts')
  const { t: common } = useTranslation()
  const entityName = useEntity()
  const { may } = useSession()
  const [params, setParams] = useSearchParams()
  const state = params.get('state') === 'settled' ? 'settled' : 'open'
  const entity = params.get('entity') ?? undefined
  const link = params.get('link') ?? undefined
  const [bulk, setBulk] = useState(false)
  const pages = usePaged<Conflict>(['conflicts', state, entity, link], (cursor) => ask(api.GET('/api/v1/conflicts', { params: { query: { state, entity, link, limit: 20, cursor } } })), () => 10_000)
  const set = (name: string, value: string | undefined): void => {
    const next = new URLSearchParams(params)
    if (value) next.set(name, value)
    else next.delete(name)
    setParams(next, { replace: true })
  }
  const acts = (
    <>
      <Link to="/entities"><Button icon={<OrderedListOutlined />}>{t('rules')}</Button></Link>
      {may('operator') && state === 'open' && pages.items.length > 0 && <Button icon={<UnorderedListOutlined />} onClick={() => setBulk(true)}>{t('bulk')}</Button>}
    </>
  )
  return (
    <Page title={t('title')} lead={t('lead')} actions={acts}>
      <search className="filters">
        <Segmented value={state} onChange={(value) => set('state', value === 'open' ? undefined : value)} options={[{ value: 'open', label: t('open') }, { value: 'settled', label: t('settled') }]} />
        <Select allowClear style={{ width: 150 }} placeholder={t('entity')} aria-label={t('entity')} value={entity} onChange={(value?: string) => set('entity', value)} options={ENTITIES.map((one) => ({ value: one, label: entityName(one) }))} />
      </search>
      {pages.error && pages.items.length === 0 ? <Trouble error={pages.error} again={() => void pages.refetch()} />
        : pages.isPending ? <div className="panel"><Skeleton active paragraph={{ rows: 6 }} /></div>
        : pages.items.length === 0 ? <div className="panel"><Nothing title={state === 'open' ? t('none') : t('settledNone')} hint={state === 'open' ? t('noneHint') : undefined} /></div>
        : (
          <div className="stack">
            {pages.items.map((one) => <Card key={one.id} conflict={one} />)}
            <div className="list-end">{pages.hasNextPage ? <Button loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{common('more')}</Button> : <span className="dim">{common('allShown', { count: pages.items.length })}</span>}</div>
          </div>
        )}
      {bulk && <Bulk close={() => setBulk(false)} />}
    </Page>
  )
}

const STALE = ['conflicts', 'overview', 'customer']

function Card({ conflict: listed }: { conflict: Conflict }) {
  const { t } = useTranslation('conflicts')
  const entityName = useEntity()
  const language = useLanguage()
  const say = useSay()
  const { may } = useSession()
  const [whole, setWhole] = useState<Conflict | null>(null)
  const [other, setOther] = useState(false)
  const path = { params: { path: { id: listed.id } } }
  const reveal = useChange(() => ask(api.GET('/api/v1/conflicts/{id}', { params: { path: { id: listed.id }, query: { reveal: true } } })), { then: setWhole })
  const settle = useChange<{ connection?: string; value?: unknown }, { written: number }>((body) => ask(api.POST('/api/v1/conflicts/{id}/settle', { ...path, body: body as { connection: string } })), { stale: STALE, done: t('doneNone') })
  const conflict = whole ?? listed
  const operator = may('operator')
  const masked = conflict.sides.some((side) => spoken(side.value).includes('*'))
  const open = conflict.state === 'open'
  const who = conflict.winner === 'person' ? t('person') : conflict.winner
  return (
    <article className="panel conflict" aria-label={t('what', { entity: entityName(conflict.entity).toLowerCase(), about: conflict.about ?? t('unknown', { id: conflict.link }), field: fieldName(conflict.field, language) })}>
      <header className="row apart">
        <h2>{t('what', { entity: entityName(conflict.entity).toLowerCase(), about: conflict.about ?? t('unknown', { id: conflict.link }), field: fieldName(conflict.field, language) })}</h2>
        <span className="row">
          {masked && operator && !whole && <Button size="small" type="text" icon={<EyeOutlined />} loading={reveal.isPending} onClick={() => reveal.mutate(undefined)}>{t('reveal')}</Button>}
          <Link className="dim" to={conflict.entity === 'customer' ? `/customers/${conflict.link}` : `/links?q=${encodeURIComponent(conflict.sides[0]?.record ?? '')}`}>{conflict.entity === 'customer' ? t('unknown', { id: conflict.link }) : conflict.sides[0]?.record}</Link>
        </span>
      </header>
      <div className="conflict-sides">
        {conflict.sides.map((side) => {
          const value = spoken(side.value)
          const won = !open && conflict.winner === side.connection
          return (
            <div key={side.connection} className={won ? 'conflict-side won' : 'conflict-side'}>
              <span className="row apart"><strong>{t('said', { connection: side.connection })}</strong>{later(conflict) === side.connection && <span className="tag">{t('newer')}</span>}</span>
              <p className={value ? 'conflict-value' : 'conflict-value dim'}>{value || t('empty')}</p>
              <span className="row apart"><span className="dim">{t('at')} <At iso={side.changed_at} /></span>
                {open && operator && <Button type="primary" ghost loading={settle.isPending && settle.variables?.connection === side.connection} disabled={settle.isPending} onClick={() => settle.mutate({ connection: side.connection })} aria-label={`${t('choose')} ${side.connection}`}>{t('choose')}</Button>}
                {won && <span className="state tone-good"><i />{t('held')}</span>}
              </span>
            </div>
          )
        })}
      </div>
      <footer className="row apart">
        <span className="dim">{t('rule')}{say(conflict.words)} · <Link to={`/events/${conflict.event}`}>{t('event', { id: conflict.event })}</Link></span>
        {open && operator && typeable(conflict.sides) && <Button type="link" onClick={() => setOther(!other)} aria-expanded={other}>{t('other')}</Button>}
        {!open && <span className="dim">{conflict.settled_by === 'agreed' ? t('agreed') : <>{who && `${t('winner', { who })} · `}{conflict.settled_by ? t('by', { who: conflict.settled_by }) : t('auto')}</>} · <At iso={conflict.settled_at} /></span>}
      </footer>
      {other && <Other conflict={conflict} busy={settle.isPending} use={(value) => settle.mutate({ value })} />}
    </article>
  )
}
