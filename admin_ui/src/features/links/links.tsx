/** Which record here is which record there. */
import { ArrowRightOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { At, Copyable, Entity } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'

export default function LinksPage() {
  const { t } = useTranslation('links')
  const [params, setParams] = useSearchParams()
  const q = params.get('q') ?? ''
  const [text, setText] = useState(q)
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

function Group({ link }: { link: Schemas['Link'] }) {
  const { t } = useTranslation('links')
  return (
    <section className="panel">
      <h2>{t('link', { id: link.link })}<Entity of={link.records[0]?.entity} /></h2>
      <div className="chain">
        {link.records.map((one, i) => (
          <div key={`${one.connection}/${one.record}`} className="row">
            {i > 0 && <ArrowRightOutlined aria-hidden="true" className="dim" />}
            <div className="card still"><strong>{one.connection}</strong><Copyable text={one.record} label={one.connection} />{one.number && <Link to={`/events?q=${encodeURIComponent(one.number)}`}>{one.number}</Link>}<span className="dim"><At iso={one.version_at} /></span></div>
          </div>
        ))}
      </div>
      {link.history.length > 0 && <details><summary>{t('history')}</summary><ul>{link.history.map((one, i) => <li key={i}><At iso={one.at} /> <code>{one.record}</code> {one.was} → {one.became} <span className="dim">{one.cause}</span></li>)}</ul></details>}
    </section>
  )
}
