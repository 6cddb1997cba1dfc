/** "Verify now": waits until the other system's first push arrives, or says why it was refused. */
import { Alert, Button } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'

type Came = { event: Schemas['Event'] } | { refusal: Schemas['Refusal'] }

export function FirstPush({ connection }: { connection: string }) {
  const { t } = useTranslation('connections')
  const [since, setSince] = useState<number | null>(null)
  const [came, setCame] = useState<Came | null>(null)

  useEffect(() => {
    if (since === null) return
    let over = false
    const look = async (): Promise<void> => {
      const [events, refused] = await Promise.all([
        ask(api.GET('/api/v1/events', { params: { query: { connection, limit: 1, since: new Date(since).toISOString() } } })),
        ask(api.GET('/api/v1/quarantine', { params: { query: { limit: 20 } } })),
      ])
      if (over) return
      const event = events.items[0]
      const refusal = refused.items.find((one) => one.connection === connection && new Date(one.at).getTime() >= since)
      if (event) setCame({ event })
      else if (refusal) setCame({ refusal })
      if (event ?? refusal) setSince(null)
    }
    const timer = setInterval(() => void look().catch(() => undefined), 1500)
    return () => {
      over = true
      clearInterval(timer)
    }
  }, [since, connection])

  return (
    <div className="first-push" aria-live="polite">
      {since === null ? (
        <Button type="primary" ghost onClick={() => { setCame(null); setSince(Date.now() - 2000) }}>{t('verify')}</Button>
      ) : (
        <span className="row"><span className="pulse on" aria-hidden="true" />{t('verifying')}<Button size="small" onClick={() => setSince(null)}>{t('stopWaiting')}</Button></span>
      )}
      {came && 'event' in came && <Alert type="success" showIcon title={<Link to={`/events/${came.event.id}`}>{t('verified', { source: came.event.source, message: came.event.message })}</Link>} />}
      {came && 'refusal' in came && <Alert type="error" showIcon title={t('verifyRefused', { reason: came.refusal.reason })} description={came.refusal.detail} />}
    </div>
  )
}
