/** The story of a customer as a list that can be narrowed to one kind. */
import { BellOutlined, CarOutlined, FileOutlined, MessageOutlined, RollbackOutlined, ShoppingOutlined } from '@ant-design/icons'
import { Button, Segmented } from 'antd'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import type { Schemas } from '@/api/client'
import { useRoutes } from '@/data/catalogue'
import { useLanguage } from '@/i18n'
import { valueName } from '@/i18n/fields'
import { At, State } from '@/kit/bits'
import { Nothing } from '@/kit/page'
import { story, type Entry, type StoryKind } from './story'

const ICONS: Record<StoryKind, ReactNode> = { order: <ShoppingOutlined />, shipment: <CarOutlined />, after_sale: <RollbackOutlined />, message: <MessageOutlined />, timer: <BellOutlined />, other: <FileOutlined /> }
const SHOWN = 30

export function Story({ of }: { of: Schemas['Everything'] }) {
  const { t } = useTranslation('customers')
  const { t: common } = useTranslation()
  const [kind, setKind] = useState<StoryKind | 'all'>('all')
  const [shown, setShown] = useState(SHOWN)
  const told = story(of)
  const kinds = [...new Set(told.map((one) => one.kind))]
  if (told.length === 0) return <Nothing title={t('storyNone')} art={false} />
  const found = told.filter((one) => kind === 'all' || one.kind === kind)
  return (
    <>
      {kinds.length > 1 && <Segmented size="small" value={kind} onChange={setKind} options={[{ value: 'all' as const, label: `${t('storyAll')} ${told.length}` }, ...kinds.map((one) => ({ value: one, label: `${t(`kinds.${one}`)} ${told.filter((each) => each.kind === one).length}` }))]} />}
      <ol className="story">{found.slice(0, shown).map((one) => <Item key={one.key} entry={one} />)}</ol>
      {found.length > shown && <div className="list-end"><Button onClick={() => setShown(shown + SHOWN)}>{common('more')}</Button></div>}
    </>
  )
}

function Item({ entry }: { entry: Entry }) {
  const { t } = useTranslation('customers')
  const { t: timers } = useTranslation('timers')
  const language = useLanguage()
  const routes = useRoutes()
  const route = entry.to === null ? undefined : routes.data?.find((one) => one.key === entry.to)
  return (
    <li className={`story-item story-${entry.kind}`}>
      <span className="story-icon" aria-hidden="true">{ICONS[entry.kind]}</span>
      <div className="grow">
        <span className="row"><span className="dim">{t(`kinds.${entry.kind}`)}</span><Link to={entry.href} className={entry.kind === 'message' ? undefined : 'mono'}>{entry.kind === 'message' || entry.kind === 'timer' ? route?.label || entry.to : entry.name}</Link>{entry.amount && <strong className="num">{entry.amount}</strong>}</span>
        <span className="row story-foot">
          {entry.statusOf === 'delivery' && entry.status && <State of={entry.status} />}
          {entry.statusOf === 'entity' && entry.status && <span className="tag">{valueName(entry.status, language)}</span>}
          {entry.statusOf === 'timer' && <span className="tag">{timers(`state.${entry.status as 'waiting'}`)}</span>}
          {entry.systems.map((one) => <span key={one} className="dim">{one}</span>)}
        </span>
      </div>
      <span className="dim"><At iso={entry.at} /></span>
    </li>
  )
}
