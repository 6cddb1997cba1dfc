/** What a form works on stays as it was read while somebody types; a change by others is announced, not put over it. */
import { Alert, Button } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

export interface Settled<T> {
  shown: T
  /** Whether what is stored is newer than what is shown. */
  moved: boolean
  touch: (dirty: boolean) => void
  take: () => void
}

export function useSettled<T extends { etag: string }>(latest: T): Settled<T> {
  const [shown, setShown] = useState(latest)
  const [dirty, setDirty] = useState(false)
  useEffect(() => {
    if (latest.etag !== shown.etag && !dirty) setShown(latest)
  }, [latest, shown.etag, dirty])
  return { shown, moved: dirty && latest.etag !== shown.etag, touch: setDirty, take: () => setDirty(false) }
}

export function Moved({ settled }: { settled: Pick<Settled<unknown>, 'moved' | 'take'> }) {
  const { t } = useTranslation()
  if (!settled.moved) return null
  return <Alert type="warning" showIcon style={{ marginBottom: 16 }} title={t('stale')} action={<Button size="small" onClick={settled.take}>{t('refresh')}</Button>} />
}
