/** When a stored secret changes: for how long the door goes on taking what is proven with the one before. */
import { Alert, InputNumber } from 'antd'
import { useTranslation } from 'react-i18next'
import type { Connection, Connector } from '@/data/catalogue'
import { At } from '@/kit/bits'
import type { Values } from '@/lib/form-values'

/** A day: long enough to change the other side at leisure. */
export const OVERLAP = 24

/** Whether these values replace a stored secret that a door may prove pushes with. */
export function replaces(connector: Connector, connection: Connection | undefined, values: Values): boolean {
  if (!connection?.hook_url) return false
  return connector.fields.some((one) => one.secret && connection.secrets.includes(one.key) && typeof values[one.key] === 'string' && values[one.key] !== '')
}

export function Overlap({ hours, set }: { hours: number; set: (hours: number) => void }) {
  const { t } = useTranslation('connections')
  return (
    <div className="overlap">
      <label className="row"><span>{t('overlap')}</span><InputNumber min={0} max={720} precision={0} value={hours} suffix={t('overlapHours')} onChange={(n) => set(n ?? 0)} aria-label={t('overlap')} /></label>
      <p className="dim">{hours > 0 ? t('overlapHint') : t('overlapNone')}</p>
    </div>
  )
}

/** Secrets of before that doors still take. */
export function Formers({ connection }: { connection: Connection }) {
  const { t } = useTranslation('connections')
  const found = connection.former_secrets ?? []
  if (found.length === 0) return null
  return <Alert type="info" showIcon title={t('formers')} description={found.map((one) => <div key={one.field}><code>{one.field}</code> {t('formersUntil')} <At iso={one.until} /></div>)} style={{ marginBottom: 16 }} />
}
