/** Trying a route on a real event before it counts: does the condition hold, what would be sent. */
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { useLanguage, useSay } from '@/i18n'
import { clock } from '@/lib/time'
import { JsonView } from '@/kit/json-view'
import { Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'

export function Trial({ draft }: { draft: Schemas['Route'] | null }) {
  const { t } = useTranslation('routes')
  const say = useSay()
  const [event, setEvent] = useState<string>()
  const connection = draft?.from.connection
  const entity = draft?.from.entity
  const events = useQuery({
    queryKey: ['trial-events', connection, entity],
    enabled: Boolean(connection && entity),
    queryFn: () => ask(api.GET('/api/v1/events', { params: { query: { connection, entity, limit: 50 } } })),
  })
  const fitting = (events.data?.items ?? []).filter((one) => one.state === 'planned')
  const trial = useChange<undefined, Schemas['RouteTrial']>(() => ask(api.POST('/api/v1/trials/route', { body: { route: draft as Schemas['Route'], event: event ?? fitting[0]?.id ?? '' } })), { quiet: true })
  return (
    <aside className="panel sticky" aria-label={t('trial')}>
      <h2>{t('trial')}</h2>
      <p className="dim">{t('trialHint')}</p>
      {draft && events.data && fitting.length === 0 && <p className="dim">{t('trialNone')}</p>}
      {fitting.length > 0 && (
        <div className="row">
          <Select className="grow" aria-label={t('trialPick')} placeholder={t('trialPick')} value={event ?? fitting[0]?.id} onChange={setEvent} options={fitting.map((one) => ({ value: one.id, label: `${one.number ?? one.record} · ${clock(one.received_at)}` }))} />
          <Button type="primary" ghost disabled={!draft} loading={trial.isPending} onClick={() => trial.mutate(undefined)}>{t('trialGo')}</Button>
        </div>
      )}
      {trial.error && <div style={{ marginTop: 12 }}><Trouble error={trial.error} /></div>}
      {trial.data && (
        <div className="stack" style={{ marginTop: 16 }} aria-live="polite">
          <Alert showIcon type={trial.data.holds ? 'success' : 'warning'} title={trial.data.holds ? t('trialHolds') : t('trialNot')} description={say(trial.data.words) || undefined} />
          {trial.data.targets.map((one, i) => <Sent key={i} target={one} />)}
        </div>
      )}
    </aside>
  )
}

function Sent({ target }: { target: Schemas['TargetTrial'] }) {
  const { t } = useTranslation('routes')
  const language = useLanguage()
  return (
    <div>
      <h3>{t('trialSends', { to: target.connection })} <code className="dim">{target.operation}</code></h3>
      {target.ok ? <JsonView value={target.result} open={3} label={target.operation} /> : (
        <Alert type="error" showIcon title={t('trialFails')} description={(target.errors ?? []).map((one, i) => <div key={i}>{language === 'zh' ? one.zh : one.en}</div>)} />
      )}
    </div>
  )
}
