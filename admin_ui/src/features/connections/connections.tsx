/** All connections as cards: whose, in what state, how much comes in. */
import { PlusOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useConnections, useConnectors, type Connection, type ConnectorSummary } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Spark, State } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'
import { Badge } from './badge'
import { SandboxTag } from './sandbox'

export default function ConnectionsPage() {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const connections = useConnections()
  const connectors = useConnectors()
  const overview = useQuery({ queryKey: ['overview'], queryFn: () => ask(api.GET('/api/v1/overview')) })
  const add = may('editor') && <Link to="/connections/new"><Button type="primary" icon={<PlusOutlined />}>{t('create')}</Button></Link>
  return (
    <Page title={t('title')} lead={t('lead')} actions={add}>
      <Loaded query={connections}>
        {(found) =>
          found.length === 0 ? (
            <div className="panel"><Nothing title={t('emptyTitle')} hint={t('emptyHint')}>{add}</Nothing></div>
          ) : (
            <ul className="cards">
              {found.map((one) => (
                <Card key={one.key} connection={one} connector={connectors.data?.find((kind) => kind.id === one.connector)} node={overview.data?.nodes.find((node) => node.key === one.key)} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </Page>
  )
}

function Card({ connection, connector, node }: { connection: Connection; connector?: ConnectorSummary; node?: Schemas['Node'] }) {
  const { t } = useTranslation()
  const { t: own } = useTranslation('connections')
  const say = useSay()
  return (
    <li>
      <Link to={`/connections/${connection.key}`} className="card">
        <div className="row">
          <Badge name={say(connector?.label) || connection.connector} category={connector?.category ?? 'generic'} />
          <div className="grow"><strong className="clip">{say(connector?.label) || connection.connector}</strong><br /><code className="dim">{connection.key}</code></div>
        </div>
        <div className="row apart card-foot">
          <span className="row"><State of={connection.state} />{connection.sandbox && <SandboxTag />}</span>
          {node && node.per_minute > 0 && <Spark of={node.series} label={t('perMinute', { rate: node.per_minute })} wide={90} high={24} />}
        </div>
        {connection.reason && <p className="tone-bad card-why">{say(connection.reason)}</p>}
        {!connection.reason && connection.state === 'disabled' && (connection.missing ?? []).length > 0 && <p className="dim card-why">{own('missing', { n: connection.missing?.length ?? 0 })}</p>}
      </Link>
    </li>
  )
}
