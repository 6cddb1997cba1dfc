/** All routes, as a list and as a canvas. */
import { AppstoreAddOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Segmented, Switch, Table, Tooltip } from 'antd'
import { lazy, Suspense } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useSearchParams } from 'react-router'
import { api, ask } from '@/api/client'
import { useSession } from '@/app/session'
import { Waiting } from '@/app/shell'
import { useConnections, useRoutes, type RouteDetail } from '@/data/catalogue'
import { useLanguage } from '@/i18n'
import { Ago, Entity } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange } from '@/kit/query'

const Canvas = lazy(() => import('./canvas'))

export default function RoutesPage() {
  const { t } = useTranslation('routes')
  const { may } = useSession()
  const [params, setParams] = useSearchParams()
  const view = params.get('view') === 'canvas' ? 'canvas' : 'list'
  const routes = useRoutes()
  const connections = useConnections()
  const acts = may('editor') && (
    <><Link to="/routes/recipes"><Button icon={<AppstoreAddOutlined />}>{t('recipes')}</Button></Link><Link to="/routes/new"><Button type="primary" icon={<PlusOutlined />}>{t('create')}</Button></Link></>
  )
  return (
    <Page title={t('title')} lead={t('lead')} actions={acts} wide={view === 'canvas'}>
      <div className="filters"><Segmented value={view} onChange={(next) => setParams(next === 'canvas' ? { view: 'canvas' } : {}, { replace: true })} options={[{ value: 'list', label: t('list') }, { value: 'canvas', label: t('canvas') }]} /></div>
      <Loaded query={routes}>
        {(found) => {
          if (view === 'canvas') return <Suspense fallback={<Waiting />}><Canvas routes={found} connections={connections.data ?? []} /></Suspense>
          if (found.length === 0) return <div className="panel"><Nothing title={t('empty')} hint={t('emptyHint')}>{may('editor') && <Link to="/routes/recipes"><Button type="primary" size="large">{t('recipes')}</Button></Link>}</Nothing></div>
          return <RouteTable routes={found} />
        }}
      </Loaded>
    </Page>
  )
}

function RouteTable({ routes }: { routes: RouteDetail[] }) {
  const { t } = useTranslation('routes')
  const language = useLanguage()
  const navigate = useNavigate()
  return (
    <div className="panel panel-table">
      <Table<RouteDetail> dataSource={routes} rowKey="key" pagination={{ pageSize: 50, hideOnSinglePage: true }} scroll={{ x: 900 }} rowClassName="opens"
        onRow={(one) => ({ onClick: (event) => { if (!(event.target as HTMLElement).closest('button, a')) void navigate(`/routes/${one.key}`) } })}
        columns={[
          { title: t('route'), key: 'name', render: (_, one) => <><Link to={`/routes/${one.key}`}><strong>{one.label || one.key}</strong></Link><br /><code className="dim">{one.key}</code></> },
          { title: t('from'), key: 'from', render: (_, one) => <span className="row">{one.from.connection}<Entity of={one.from.entity} /></span> },
          { title: t('when'), dataIndex: 'when', render: (text: string | null) => (text ? <code className="clip" style={{ maxWidth: 280 }}>{text}</code> : <span className="dim">{t('always')}</span>) },
          { title: t('to'), key: 'to', render: (_, one) => one.to.map((target, i) => <div key={i}>{target.connection} <code className="dim">{target.operation}</code></div>) },
          { title: t('enabled'), key: 'on', render: (_, one) => <Turn route={one} /> },
          { title: t('updated'), key: 'at', render: (_, one) => <span className="row"><Ago iso={one.updated_at} />{(one.warnings ?? []).length > 0 && <Tooltip title={(one.warnings ?? []).map((warning) => (language === 'zh' ? warning.zh : warning.en)).join(' · ')}><span className="state tone-warn" tabIndex={0}><i />{t('warnings')}</span></Tooltip>}</span> },
        ]} />
    </div>
  )
}

export function Turn({ route }: { route: RouteDetail }) {
  const { t } = useTranslation('routes')
  const { may } = useSession()
  const path = { params: { path: { key: route.key } } }
  const turn = useChange((on: boolean) => ask(on ? api.POST('/api/v1/routes/{key}/enable', path) : api.POST('/api/v1/routes/{key}/disable', path)), { stale: ['routes', 'overview'] })
  return <Switch checked={route.enabled ?? true} loading={turn.isPending} disabled={!may('editor')} onChange={(on) => turn.mutate(on)} aria-label={`${route.label || route.key}: ${route.enabled ? t('turnOff') : t('turnOn')}`} />
}
