/** The sandbox: the built-in simulator stands in for the real system, is marked everywhere, and goes again. */
import { ExperimentOutlined } from '@ant-design/icons'
import { Alert, App, Button, Switch } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, ask, Problem } from '@/api/client'
import { useSession } from '@/app/session'
import type { Connection, Connector } from '@/data/catalogue'
import { useChange, useProblemWords } from '@/kit/query'
import '@/style/sandbox.css'

/** Kinds of systems at which people order. */
const SHOPS = ['marketplace', 'mall']

export const sandbox = (key: string, on: boolean, stopRoutes = false): Promise<Connection> =>
  ask(api.POST('/api/v1/connections/{key}/sandbox', { params: { path: { key } }, body: { on, stop_routes: stopRoutes } }))

/** The mark of everything that is invented. */
export function SandboxTag() {
  const { t } = useTranslation('connections')
  return <span className="sandbox-tag"><ExperimentOutlined aria-hidden="true" /> {t('sandbox')}</span>
}

function useTurn(key: string) {
  const { t } = useTranslation('connections')
  const { modal, message } = App.useApp()
  const tell = useProblemWords()
  const turn = useChange<{ on: boolean; stop?: boolean }, Connection>(({ on, stop }) => sandbox(key, on, stop), { stale: ['connections', 'overview', 'routes'], quiet: true })
  const go = (on: boolean, stop = false): void => {
    turn.mutateAsync({ on, stop }).then(() => void message.success(on ? t('sandboxOn') : t('sandboxOff'))).catch((error: unknown) => {
      if (error instanceof Problem && error.code === 'mixed_routes' && !stop) {
        void modal.confirm({ title: t('sandboxMixed'), content: <><p>{error.body.detail}</p><p>{t('sandboxMixedHint')}</p></>, okText: t('sandboxStop'), onOk: () => go(on, true) })
      } else message.error(tell(error))
    })
  }
  const sure = (on: boolean): void => void modal.confirm({ title: on ? t('sandboxSure') : t('sandboxBackSure'), content: on ? t('sandboxSureHint') : t('sandboxBackSureHint'), okText: on ? t('sandboxGo') : t('sandboxBack'), onOk: () => go(on) })
  return { sure, busy: turn.isPending }
}

/** On the page of a connection that speaks to a simulator: that it does, an order to watch, and the way back. */
export function Standing({ connection, connector }: { connection: Connection; connector: Connector }) {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const { sure, busy } = useTurn(connection.key)
  const order = useChange<void, undefined>(() => ask(api.POST('/api/v1/connections/{key}/sandbox/orders', { params: { path: { key: connection.key } }, body: { count: 1 } })), { stale: ['events', 'overview'], done: t('sandboxOrdered') })
  if (!connection.sandbox) return null
  return (
    <Alert className="sandbox-banner" type="warning" icon={<ExperimentOutlined />} showIcon title={t('sandboxIs')} description={t('sandboxIsHint')}
      action={(
        <span className="row">
          {may('operator') && connection.state === 'enabled' && SHOPS.includes(connector.category) && <Button type="primary" loading={order.isPending} onClick={() => order.mutate()}>{t('sandboxOrder')}</Button>}
          {may('editor') && <Button loading={busy} onClick={() => sure(false)}>{t('sandboxBack')}</Button>}
        </span>
      )} />
  )
}

/** Beside pause and enable: a rehearsal without touching the settings. */
export function Offer({ connection, connector }: { connection: Connection; connector: Connector }) {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const { sure, busy } = useTurn(connection.key)
  if (!connector.sandbox || connection.sandbox || !may('editor')) return null
  return <Button icon={<ExperimentOutlined />} loading={busy} title={t('sandboxTryHint')} onClick={() => sure(true)}>{t('sandboxGo')}</Button>
}

/** In the wizard: begin without keys. */
export function BeginWith({ on, set }: { on: boolean; set: (on: boolean) => void }) {
  const { t } = useTranslation('connections')
  return (
    <div className={on ? 'sandbox-begin on' : 'sandbox-begin'}>
      <label className="row"><Switch checked={on} onChange={set} aria-label={t('sandboxBegin')} /><strong><ExperimentOutlined aria-hidden="true" /> {t('sandboxBegin')}</strong></label>
      <p className="dim">{on ? t('sandboxBeginOn') : t('sandboxBeginHint')}</p>
    </div>
  )
}

/** What stands in: where its calls go now. */
export function Invented({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const places = Object.entries(connection.config).filter(([, value]) => typeof value === 'string' && /^(https?|wss?):/.test(value))
  return (
    <section className="panel">
      <h2>{t('settings')}<SandboxTag /></h2>
      <p>{t('sandboxLocked')}</p>
      <ul className="plain">{places.map(([name, value]) => <li key={name}><code className="dim">{name}</code> <code>{String(value)}</code></li>)}</ul>
    </section>
  )
}
