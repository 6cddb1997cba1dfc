/** What keeps calls back while a system is in trouble: since when, why, when it is tried again, and doing it by hand. */
import { Alert, Button } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import type { Connection } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Ago, At } from '@/kit/bits'
import { useChange } from '@/kit/query'
import '@/style/alerts.css'

type State = Schemas['Breaker']

export function BreakerState({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const say = useSay()
  const params = { params: { path: { key: connection.key } } }
  const close = useChange(() => ask(api.POST('/api/v1/connections/{key}/breaker/close', params)), { stale: ['connections', 'overview'] })
  const shown: State[] = [...(connection.breaker && connection.breaker.state !== 'closed' ? [connection.breaker] : []), ...(connection.operation_breakers ?? [])]
  return (
    <>
      {shown.map((one) => (
        <Alert
          key={one.operation ?? ''} showIcon style={{ marginBottom: 16 }} type={one.state === 'ramping' ? 'info' : 'error'}
          title={<>{t(`breaker.${one.state as 'open'}`)}{one.operation && <> · <code>{one.operation}</code></>}</>}
          description={
            <>
              <p className="breaker-why">{say(one.reason)}{one.by && ` ${t('breakerBy', { who: one.by })}`}</p>
              <span className="dim">{t('breakerSince')} <Ago iso={one.since} />{one.state !== 'ramping' && (one.next_probe_at ? <> · {t('breakerProbe')} <At iso={one.next_probe_at} /></> : ` · ${t('breakerNever')}`)}</span>
            </>
          }
          action={may('operator') && one.state !== 'ramping' && <Button size="small" loading={close.isPending} onClick={() => close.mutate(undefined)}>{t('breakerClose')}</Button>}
        />
      ))}
    </>
  )
}

/** Holding everything back by hand: what is owed waits, and nothing is called, not even to try. */
export function HoldBack({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const { may } = useSession()
  const open = useChange(() => ask(api.POST('/api/v1/connections/{key}/breaker/open', { params: { path: { key: connection.key } } })), { stale: ['connections', 'overview'] })
  if (!may('operator')) return null
  return <div className="row apart"><span>{t('breakerOpenHint')}</span><Button disabled={connection.breaker?.state === 'open'} loading={open.isPending} onClick={() => open.mutate(undefined)}>{t('breakerOpen')}</Button></div>
}
