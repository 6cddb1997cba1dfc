/** One customer over all channels: who they are, what happened, how it was matched, and putting that right. */
import '@/style/data.css'
import { EyeInvisibleOutlined, EyeOutlined, MergeCellsOutlined } from '@ant-design/icons'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Alert, Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { JoinHistory, MergeDialog, Pieces } from '@/features/links/joining'
import { useLanguage } from '@/i18n'
import { fieldName, valueName } from '@/i18n/fields'
import { Fact } from '@/kit/bits'
import { Loaded, Page } from '@/kit/page'
import { nameOf, said, Systems } from './customers'
import { MatchCard } from './matches'
import { sheet } from './story'
import { Story } from './story-list'

type Everything = Schemas['Everything']
const PROFILE = ['phone', 'email', 'company', 'level', 'owner', 'gender', 'tags'] as const

export default function CustomerPage() {
  const { t } = useTranslation('customers')
  const { link = '' } = useParams()
  const { may } = useSession()
  const [reveal, setReveal] = useState(false)
  const [merging, setMerging] = useState(false)
  const found = useQuery({ queryKey: ['customer', link, reveal], placeholderData: keepPreviousData, queryFn: () => ask(api.GET('/api/v1/customers/{link}', { params: { path: { link }, query: { reveal } } })) })
  const name = found.data ? nameOf(found.data) || t('unnamed', { id: link }) : t('unnamed', { id: link })
  const acts = may('operator') && found.data && (
    <>
      <Button icon={reveal ? <EyeInvisibleOutlined /> : <EyeOutlined />} loading={found.isFetching && found.isPlaceholderData} onClick={() => setReveal(!reveal)}>{reveal ? t('masked') : t('reveal')}</Button>
      <Button type="primary" icon={<MergeCellsOutlined />} onClick={() => setMerging(true)}>{t('merge')}</Button>
    </>
  )
  return (
    <Page name={name} title={<>{name}{found.data && <Systems of={found.data.connections} />}</>} back={<Link className="back" to="/customers">‹ {t('back')}</Link>} actions={acts}>
      {reveal && found.data?.revealed && <Alert type="warning" showIcon style={{ marginBottom: 16 }} title={t('revealed')} />}
      <Loaded query={found}>{(one) => <Whole one={one} />}</Loaded>
      {merging && found.data && <MergeDialog kind="customer" self={found.data.link} name={name} close={() => setMerging(false)} />}
    </Page>
  )
}

function Whole({ one }: { one: Everything }) {
  const { t } = useTranslation('customers')
  const language = useLanguage()
  const navigate = useNavigate()
  return (
    <div className="customer">
      <div className="stack">
        <section className="panel"><h2>{t('story')}<small>{t('storyHint')}</small></h2><Story of={one} /></section>
        <section className="panel"><h2>{t('sheet')}<small>{t('sheetHint')}</small></h2><Sheet records={one.known_as} /></section>
      </div>
      <div className="stack">
        <section className="panel">
          <h2>{t('about')}</h2>
          <dl className="facts">{PROFILE.filter((field) => said(one, field)).map((field) => <Fact key={field} name={fieldName(field, language)}>{said(one, field)}</Fact>)}</dl>
          <h3>{t('identities')}</h3>
          {one.identities.length === 0 ? <p className="dim">{t('noIdentities')}</p> : <ul className="identities">{one.identities.map((each, i) => <li key={i}><code className="dim">{each.kind}</code><span className="mono">{each.value}</span></li>)}</ul>}
        </section>
        {one.matches.length > 0 && <section className="panel"><h2>{t('suggestions')}</h2><div className="stack-tight">{one.matches.map((match) => <MatchCard key={match.id} match={match} beside={one.link} />)}</div></section>}
        <section className="panel">
          <h2>{t('togetherness')}</h2>
          <Pieces kind="customer" link={one.link} pieces={one.pieces} done={(rest) => void navigate(`/customers/${rest}`, { replace: true })} />
          <JoinHistory history={one.history} empty={t('historyNone')} />
        </section>
      </div>
    </div>
  )
}

function Sheet({ records }: { records: Everything['known_as'] }) {
  const { t } = useTranslation('customers')
  const language = useLanguage()
  return (
    <div className="sheet" tabIndex={0} role="group" aria-label={t('sheet')}>
      <table>
        <thead><tr><th scope="col">{t('field')}</th>{records.map((one) => <th scope="col" key={`${one.connection}/${one.record}`}><strong>{one.connection}</strong><code className="dim">{one.record}</code></th>)}</tr></thead>
        <tbody>
          {sheet(records).map((line) => (
            <tr key={line.path} className={line.differs ? 'differs' : undefined}>
              <th scope="row">{fieldName(line.path, language)}{line.differs && <span className="tag tag-warn">{t('differs')}</span>}</th>
              {line.values.map((value, i) => <td key={i}>{value === null ? <span className="dim">—</span> : valueName(value, language)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
