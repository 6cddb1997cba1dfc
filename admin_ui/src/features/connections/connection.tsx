/** One connection: settings, hook address with "wait for the first push", events, refusals, ending it. */
import { App, Alert, Button, Table, Tabs } from 'antd'
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { Link, useLocation, useNavigate, useParams } from 'react-router'
import { api, ask } from '@/api/client'
import { useSession } from '@/app/session'
import { useConnection, useConnector, type Connection, type Connector } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { At, Copyable, Entity, Fact, State } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange } from '@/kit/query'
import { Moved, useSettled } from '@/kit/settled'
import { Authorise } from './authorise'
import { Badge } from './badge'
import { BreakerState, HoldBack } from './breaker'
import { Editor } from './editor'
import { FirstPush } from './first-push'
import { Formers } from './overlap'
import { Invented, Offer, SandboxTag, Standing } from './sandbox'

export default function ConnectionPage() {
  const { key = '' } = useParams()
  const { t } = useTranslation('connections')
  const connection = useConnection(key)
  const connector = useConnector(connection.data?.connector)
  const say = useSay()
  return (
    <Page
      name={key}
      back={<Link className="back" to="/connections">‹ {t('title')}</Link>}
      title={<>{connector.data && <Badge name={say(connector.data.label)} category={connector.data.category} size={36} />}{key}{connection.data && <State of={connection.data.state} />}{connection.data?.sandbox && <SandboxTag />}</>}
      lead={say(connector.data?.label)}
      actions={connection.data && <>{connector.data && <Offer connection={connection.data} connector={connector.data} />}<Turn connection={connection.data} /></>}
    >
      <Loaded query={connection}>{(one) => <Loaded query={connector}>{(kind) => <Content connection={one} connector={kind} />}</Loaded>}</Loaded>
    </Page>
  )
}

function Turn({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const path = { params: { path: { key: connection.key } } }
  const turn = useChange<'enable' | 'pause' | 'disable', Connection>(
    (way) =>
      way === 'enable' ? ask(api.POST('/api/v1/connections/{key}/enable', path))
      : way === 'pause' ? ask(api.POST('/api/v1/connections/{key}/pause', path))
      : ask(api.POST('/api/v1/connections/{key}/disable', path)),
    { stale: ['connections', 'overview'] },
  )
  const state = connection.state
  return (
    <>
      {may('operator') && state === 'enabled' && <Button onClick={() => turn.mutate('pause')} loading={turn.isPending} title={t('pauseHint')}>{t('pause')}</Button>}
      {may('editor') && state !== 'enabled' && <Button type="primary" onClick={() => turn.mutate('enable')} loading={turn.isPending}>{state === 'paused' ? t('resume') : t('enable')}</Button>}
    </>
  )
}

function Content({ connection, connector }: { connection: Connection; connector: Connector }) {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const say = useSay()
  const { state } = useLocation() as { state: { fresh?: boolean } | null }
  const settled = useSettled(connection)
  const missing = connection.missing ?? []
  return (
    <>
      {connection.state === 'needs_auth' && <Alert type="error" showIcon title={t('reauth')} description={say(connection.reason)} style={{ marginBottom: 16 }} />}
      <Standing connection={connection} connector={connector} />
      <BreakerState connection={connection} />
      {!connection.sandbox && <Authorise connection={connection} connector={connector} />}
      <Formers connection={connection} />
      {missing.length > 0 && <Alert type="warning" showIcon title={t('missing', { n: missing.length })} description={<code>{missing.map((one) => one.split('/').pop()).join(', ')}</code>} style={{ marginBottom: 16 }} />}
      <Tabs
        defaultActiveKey={state?.fresh && connection.hook_url ? 'hook' : 'settings'}
        items={[
          { key: 'settings', label: t('settings'), children: connection.sandbox ? <Invented connection={connection} /> : <><Moved settled={settled} /><Editor key={settled.shown.etag} connector={connector} connection={settled.shown} touch={settled.touch} /></> },
          { key: 'hook', label: t('hook'), children: <Hook connection={connection} connector={connector} /> },
          { key: 'events', label: t('recent'), children: <Recent connection={connection} /> },
          { key: 'refused', label: t('refused'), children: <Refused connection={connection} /> },
          ...(may('editor') ? [{ key: 'danger', label: t('danger'), children: <Danger connection={connection} /> }] : []),
        ]}
      />
    </>
  )
}

function Hook({ connection, connector }: { connection: Connection; connector: Connector }) {
  const { t } = useTranslation('connections')
  const say = useSay()
  return (
    <div className="stack">
      <section className="panel">
        <h2>{t('hook')}</h2>
        {connection.hook_url ? (
          <><p>{t('hookLead')}</p><Copyable text={connection.hook_url} label={t('hook')} /><FirstPush connection={connection.key} /></>
        ) : <p className="dim">{t('hookNone')}</p>}
      </section>
      <section className="panel">
        <h2>{t('doors')}</h2>
        <Table size="small" rowKey="name" pagination={false} dataSource={connector.doors} scroll={{ x: 520 }} columns={[
          { title: t('doors'), key: 'name', render: (_, one) => say(one.label) },
          { title: '', key: 'door', render: (_, one) => <span className="tag">{t(`door.${one.door as 'hook'}`)}</span> },
          { title: '', key: 'entities', render: (_, one) => <span className="row">{one.entities.map((name) => <Entity key={name} of={name} />)}</span> },
        ]} />
      </section>
      <section className="panel">
        <h2>{t('operations')}</h2>
        <Table size="small" rowKey="name" pagination={false} dataSource={connector.operations} scroll={{ x: 640 }} columns={[
          { title: t('operations'), key: 'label', render: (_, one) => <>{say(one.label)} <code className="dim">{one.name}</code></> },
          { title: '', key: 'kind', render: (_, one) => <span className="tag">{t(`operation.${one.kind as 'get'}`)}</span> },
          { title: '', key: 'entity', render: (_, one) => <Entity of={one.entity} /> },
          { title: '', key: 'target', render: (_, one) => one.target && <span className="dim">{t('canTarget')}</span> },
        ]} />
      </section>
    </div>
  )
}

function Recent({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const navigate = useNavigate()
  const events = useQuery({ queryKey: ['connection-events', connection.key], queryFn: () => ask(api.GET('/api/v1/events', { params: { query: { connection: connection.key, limit: 20 } } })) })
  return (
    <Loaded query={events}>
      {(found) => found.items.length === 0 ? <div className="panel"><Nothing title={t('eventsNone')} /></div> : (
        <div className="panel panel-table">
          <Table size="middle" rowKey="id" pagination={false} dataSource={found.items} scroll={{ x: 640 }} rowClassName="opens" onRow={(one) => ({ onClick: () => void navigate(`/events/${one.id}`) })} columns={[
            { title: t('at'), key: 'at', render: (_, one) => <At iso={one.received_at} /> },
            { title: '', key: 'entity', render: (_, one) => <Entity of={one.entity} /> },
            { title: '', key: 'number', render: (_, one) => <Link to={`/events/${one.id}`} className="mono">{one.number ?? one.record ?? one.message}</Link> },
            { title: '', key: 'state', render: (_, one) => <State of={one.state} /> },
          ]} />
          <div className="list-end"><Link to={`/events?connection=${connection.key}`}>{t('seeAll')}</Link></div>
        </div>
      )}
    </Loaded>
  )
}

function Refused({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const found = useQuery({ queryKey: ['quarantine', connection.key], queryFn: () => ask(api.GET('/api/v1/quarantine', { params: { query: { limit: 200 } } })) })
  return (
    <Loaded query={found}>
      {({ items }) => {
        const own = items.filter((one) => one.connection === connection.key)
        if (own.length === 0) return <div className="panel"><Nothing title={t('refusedNone')} /></div>
        return (
          <div className="panel panel-table"><Table size="middle" rowKey="id" dataSource={own} pagination={{ pageSize: 20, hideOnSinglePage: true }} scroll={{ x: 760 }} columns={[
            { title: t('at'), key: 'at', render: (_, one) => <At iso={one.at} /> },
            { title: t('reason'), dataIndex: 'reason', render: (text: string) => <span className="tag">{text}</span> },
            { title: t('detail'), dataIndex: 'detail' },
            { title: t('excerpt'), dataIndex: 'excerpt', render: (text: string) => <code className="clip" style={{ maxWidth: 320 }}>{text}</code> },
          ]} /></div>
        )
      }}
    </Loaded>
  )
}

function Danger({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const { t: common } = useTranslation()
  const { modal } = App.useApp()
  const navigate = useNavigate()
  const path = { key: connection.key }
  const disable = useChange(() => ask(api.POST('/api/v1/connections/{key}/disable', { params: { path } })), { stale: ['connections', 'overview'] })
  const remove = useChange(() => ask(api.DELETE('/api/v1/connections/{key}', { params: { path, header: { 'if-match': connection.etag } } })), {
    stale: ['overview'], done: t('deleteDone'), then: () => void navigate('/connections'),
  })
  return (
    <div className="panel stack">
      <dl className="facts"><Fact name={t('created')}><At iso={connection.created_at} /></Fact><Fact name={t('updated')}><At iso={connection.updated_at} /></Fact><Fact name={t('connector')}><code>{connection.connector}</code></Fact></dl>
      <HoldBack connection={connection} />
      <div className="row apart"><span>{t('disableHint')}</span><Button disabled={connection.state === 'disabled'} loading={disable.isPending} onClick={() => disable.mutate(undefined)}>{t('disable')}</Button></div>
      <div className="row apart"><span>{t('deleteHint')}</span>
        <Button danger loading={remove.isPending} onClick={() => void modal.confirm({ title: t('deleteSure', { key: connection.key }), content: t('deleteHint'), okText: common('remove'), okButtonProps: { danger: true }, onOk: () => remove.mutateAsync(undefined).catch(() => undefined) })}>{common('remove')}</Button>
      </div>
    </div>
  )
}
