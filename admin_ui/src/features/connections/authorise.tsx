/** Authorising in the browser: to the platform and back, until when it lasts, how it went. */
import { SafetyCertificateOutlined } from '@ant-design/icons'
import { Alert, Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import type { Connection, Connector } from '@/data/catalogue'
import { At, Copyable } from '@/kit/bits'
import { useChange } from '@/kit/query'
import { applies } from '@/lib/form-values'
import { span } from '@/lib/time'
import '@/style/alerts.css'

/** Whether a connection with these settings is authorised in the browser. */
export function authorises(connector: Connector, values: Record<string, unknown>): boolean {
  if (!connector.authorise) return false
  return applies({ when: connector.authorise.when }, values, connector.fields)
}

export const leave = async (key: string): Promise<Schemas['Departure']> => {
  const found = await ask(api.POST('/api/v1/connections/{key}/authorise', { params: { path: { key } } }))
  globalThis.location.assign(found.url)
  return found
}

const DAY = 86_400
const SOON = 14

export function Authorise({ connection, connector }: { connection: Connection; connector: Connector }) {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const [query] = useSearchParams()
  const how = query.get('authorised')
  const go = useChange<undefined, Schemas['Departure']>(() => leave(connection.key))
  const here = authorises(connector, connection.config)
  const left = connection.authorised_until ? (new Date(connection.authorised_until).getTime() - Date.now()) / 1000 : null
  if (!here && left === null) return null
  return (
    <div className="stack-tight authorise">
      {how === 'yes' && <Alert type="success" showIcon title={t('authorised.yes')} />}
      {(how === 'failed' || how === 'refused' || how === 'expired' || how === 'unexchanged') && <Alert type="error" showIcon title={t(`authorised.${how}`)} />}
      <section className="panel" aria-label={t('authorise')}>
        <div className="row apart">
          <div>
            <strong><SafetyCertificateOutlined aria-hidden="true" /> {t('authorise')}</strong>
            {left !== null && <Left seconds={left} iso={connection.authorised_until ?? ''} />}
          </div>
          {here && may('editor') && <Button type={connection.state === 'enabled' && (left === null || left > SOON * DAY) ? 'default' : 'primary'} loading={go.isPending} onClick={() => go.mutate(undefined)}>{connection.state === 'enabled' ? t('authoriseAgain') : t('authoriseGo')}</Button>}
        </div>
        {here && <div className="dim authorise-back">{t('authoriseBack')} <Copyable text={connector.authorise?.redirect ?? ''} label={t('authoriseBack')} /></div>}
      </section>
    </div>
  )
}

function Left({ seconds, iso }: { seconds: number; iso: string }) {
  const { t } = useTranslation('connections')
  const { t: common } = useTranslation()
  const { n, unit } = span(Math.max(seconds, 0))
  const tone = seconds <= 0 ? 'bad' : seconds < SOON * DAY ? 'warn' : 'good'
  return <p><span className={`state tone-${tone}`}><i aria-hidden="true" />{seconds <= 0 ? t('authoriseOver') : t('authoriseLeft', { time: `${n} ${common(`unit.${unit}`)}` })}</span> <At iso={iso} /></p>
}
