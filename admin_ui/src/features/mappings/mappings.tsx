/** All mappings, by connector. */
import { SearchOutlined } from '@ant-design/icons'
import { Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { useConnectors, useMappings } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Entity, useEntity } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'
import { score } from '@/lib/search'

export default function MappingsPage() {
  const { t } = useTranslation('mappings')
  const say = useSay()
  const entity = useEntity()
  const [params] = useSearchParams()
  const [q, setQ] = useState(params.get('connector') ?? '')
  const mappings = useMappings()
  const connectors = useConnectors()
  return (
    <Page title={t('title')} lead={t('lead')}>
      <div className="filters"><Input prefix={<SearchOutlined />} style={{ maxWidth: 340 }} value={q} onChange={(event) => setQ(event.target.value)} placeholder={t('find')} aria-label={t('find')} allowClear /></div>
      <Loaded query={mappings}>
        {(found) => {
          const shown = found.filter((one) => {
            const kind = connectors.data?.find((connector) => connector.id === one.connector)
            return score(q, [one.connector, one.name, one.entity ?? '', entity(one.entity ?? ''), kind?.label.zh ?? '', kind?.label.en ?? '', ...(kind?.aliases ?? [])]) > 0
          })
          if (shown.length === 0) return <div className="panel"><Nothing title={t('empty')} /></div>
          const groups = [...new Set(shown.map((one) => one.connector))]
          return (
            <div className="stack">
              {groups.map((id) => (
                <section key={id} className="section" aria-labelledby={`maps-${id}`}>
                  <h2 id={`maps-${id}`}>{say(connectors.data?.find((one) => one.id === id)?.label) || id}</h2>
                  <ul className="cards">
                    {shown.filter((one) => one.connector === id).map((one) => (
                      <li key={one.name}>
                        <Link to={`/mappings/${one.connector}/${one.name}`} className="card">
                          <div className="row apart"><strong>{entity(one.name)}</strong><Entity of={one.entity} /></div>
                          <div className="row">
                            <span className={one.version ? 'state tone-busy' : 'state tone-off'}><i />{one.version ? t('own', { n: one.version }) : t('shipped')}</span>
                            <span className="dim">{[one.reads && t('reads'), one.writes && t('writes')].filter(Boolean).join(' · ')}</span>
                          </div>
                        </Link>
                      </li>
                    ))}
                  </ul>
                </section>
              ))}
            </div>
          )
        }}
      </Loaded>
    </Page>
  )
}
