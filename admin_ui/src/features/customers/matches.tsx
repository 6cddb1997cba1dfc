/** Customers that may be one person: side by side, with the reasons; a person says yes or no. */
import { CheckOutlined, CloseOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Popconfirm, Progress } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useLanguage } from '@/i18n'
import { Nothing, Trouble } from '@/kit/page'
import { useChange, usePaged } from '@/kit/query'
import { nameOf, said, Systems } from './customers'
import { sureness } from './story'

type Match = Schemas['SuggestedMatch']

export function Matches() {
  const { t } = useTranslation('customers')
  const { t: common } = useTranslation()
  const pages = usePaged<Match>(['matches', 'open'], (cursor) => ask(api.GET('/api/v1/customers/matches', { params: { query: { limit: 10, cursor } } })))
  if (pages.error && pages.items.length === 0) return <Trouble error={pages.error} again={() => void pages.refetch()} />
  if (pages.isPending) return <div className="panel waiting" role="status" aria-label={common('loading')} />
  if (pages.items.length === 0) return <div className="panel"><Nothing title={t('matchNone')} hint={t('matchNoneHint')} /></div>
  return (
    <div className="stack">
      <p className="dim lead">{t('matchLead')}</p>
      {pages.items.map((one) => <MatchCard key={one.id} match={one} />)}
      {pages.hasNextPage && <div className="list-end"><Button loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{common('more')}</Button></div>}
    </div>
  )
}

/** `beside`: the customer whose page this is; only the other one is shown then. */
export function MatchCard({ match, beside }: { match: Match; beside?: string }) {
  const { t } = useTranslation('customers')
  const language = useLanguage()
  const { may } = useSession()
  const path = { params: { path: { id: match.id } } }
  const stale = ['matches', 'customers', 'customer']
  const accept = useChange(() => ask(api.POST('/api/v1/customers/matches/{id}/accept', path)), { stale, done: t('merged') })
  const refuse = useChange(() => ask(api.POST('/api/v1/customers/matches/{id}/refuse', path)), { stale, done: t('refused') })
  const shown = [match.left, match.right].filter((one) => one !== beside)
  const percent = Math.round(match.confidence * 100)
  const why = match.reasons.map((one) => String((one as Record<string, unknown>)[language] ?? '')).filter(Boolean)
  return (
    <article className={beside ? 'match match-small' : 'panel match'} aria-label={t('suggestions')}>
      <div className="match-sure"><Progress type="circle" size={beside ? 46 : 62} percent={percent} format={() => `${percent}%`} strokeColor="var(--brand)" aria-label={t('confidence', { n: percent })} /><strong>{t(`sure.${sureness(match.confidence)}`)}</strong></div>
      <div className="match-sides grow">{shown.map((one) => <Side key={one} link={one} />)}</div>
      <div className="match-acts">
        <p className="dim">{t('because')}{why.join(language === 'zh' ? '；' : '; ')}</p>
        {may('operator') && (
          <span className="row">
            <Button icon={<CloseOutlined />} loading={refuse.isPending} onClick={() => refuse.mutate(undefined)}>{t('notSame')}</Button>
            <Popconfirm title={t('same')} description={t('sameSure')} onConfirm={() => accept.mutate(undefined)} styles={{ root: { maxWidth: 380 } }}><Button type="primary" icon={<CheckOutlined />} loading={accept.isPending}>{t('same')}</Button></Popconfirm>
          </span>
        )}
      </div>
    </article>
  )
}

function Side({ link }: { link: string }) {
  const { t } = useTranslation('customers')
  const found = useQuery({ queryKey: ['customer', link, false], staleTime: 60_000, queryFn: () => ask(api.GET('/api/v1/customers/{link}', { params: { path: { link } } })) })
  const one = found.data
  return (
    <div className="match-side">
      <Link to={`/customers/${link}`}><strong>{(one && nameOf(one)) || t('unnamed', { id: link })}</strong></Link>
      {one && <><span className="num dim">{[said(one, 'phone'), said(one, 'email')].filter(Boolean).join(' · ')}</span><Systems of={one.connections} /></>}
    </div>
  )
}
