/** The gallery: every kind of system, by category, found by Chinese, pinyin or English. */
import { SearchOutlined } from '@ant-design/icons'
import { Input, Segmented } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { useConnectors, type ConnectorSummary } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Loaded, Nothing, Page } from '@/kit/page'
import { score } from '@/lib/search'
import { Badge } from './badge'

const ORDER = ['marketplace', 'mall', 'erp', 'wms', 'crm', 'messaging', 'oa', 'generic'] as const

export default function Gallery() {
  const { t } = useTranslation('connections')
  const { t: common } = useTranslation()
  const connectors = useConnectors()
  const [q, setQ] = useState('')
  const [category, setCategory] = useState('all')
  return (
    <Page title={t('gallery')} lead={connectors.data && t('galleryLead', { n: connectors.data.length })} back={<Link className="back" to="/connections">‹ {t('title')}</Link>}>
      <div className="filters">
        <Input size="large" prefix={<SearchOutlined />} placeholder={t('find')} aria-label={common('search')} value={q} onChange={(event) => setQ(event.target.value)} allowClear autoFocus style={{ maxWidth: 380 }} />
        <Segmented value={category} onChange={setCategory} options={[{ value: 'all', label: common('all') }, ...ORDER.map((one) => ({ value: one, label: common(`category.${one}`) }))]} />
      </div>
      <Loaded query={connectors}>{(found) => <Shelves found={fitting(found, q, category)} q={q} />}</Loaded>
    </Page>
  )
}

function fitting(found: ConnectorSummary[], q: string, category: string): ConnectorSummary[] {
  return found
    .map((one) => ({ one, fits: score(q, [one.id, one.label.zh ?? '', one.label.en ?? '', ...one.aliases]) }))
    .filter(({ one, fits }) => fits > 0 && (category === 'all' || one.category === category))
    .sort((a, b) => b.fits - a.fits)
    .map(({ one }) => one)
}

function Shelves({ found, q }: { found: ConnectorSummary[]; q: string }) {
  const { t } = useTranslation('connections')
  const { t: common } = useTranslation()
  const say = useSay()
  if (found.length === 0) return <div className="panel"><Nothing title={t('nothing', { q })} hint={t('nothingHint')} /></div>
  return (
    <div className="stack">
      {ORDER.filter((name) => found.some((one) => one.category === name)).map((name) => (
        <section key={name} className="section" aria-labelledby={`shelf-${name}`}>
          <h2 id={`shelf-${name}`}>{common(`category.${name}`)}</h2>
          <ul className="cards">
            {found.filter((one) => one.category === name).map((one) => (
              <li key={one.id}>
                <Link to={`/connections/new/${one.id}`} className="card">
                  <div className="row">
                    <Badge name={say(one.label)} category={one.category} />
                    <div className="grow"><strong>{say(one.label)}</strong><br /><span className="dim clip">{one.aliases.slice(0, 4).join(' · ')}</span></div>
                  </div>
                </Link>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  )
}
