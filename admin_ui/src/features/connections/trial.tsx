/** The connection test and its result: what the other system said, and what to do. */
import { Alert, Collapse } from 'antd'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '@/api/client'
import { useSay } from '@/i18n'

export function TrialResult({ result }: { result: Schemas['TestResult'] }) {
  const { t } = useTranslation('connections')
  const say = useSay()
  if (result.ok) return <Alert type="success" showIcon title={t('testGood')} description={<>{t('testGoodHint', { ms: Math.round(result.duration * 1000) })}<Exchanges of={result.exchanges ?? []} /></>} />
  return (
    <Alert
      type="error"
      showIcon
      title={say(result.hint) || t('testBad')}
      description={<>{result.message && <p>{t('said')}：<q>{result.message}</q>{result.code && <code> {result.code}</code>}</p>}<Exchanges of={result.exchanges ?? []} /></>}
    />
  )
}

export function Exchanges({ of }: { of: Partial<Schemas['Exchange']>[] }) {
  const { t } = useTranslation('connections')
  if (of.length === 0) return null
  return (
    <Collapse
      ghost
      size="small"
      items={[{
        key: 'x', label: t('exchange'),
        children: of.map((one, i) => (
          <div key={i} className="exchange">
            <div className="mono"><strong>{one.method}</strong> {one.url} → <strong>{one.status ?? '—'}</strong> <span className="dim">{Math.round((one.duration ?? 0) * 1000)} ms</span></div>
            {one.request && <pre tabIndex={0}>{one.request}</pre>}
            {one.response && <pre tabIndex={0}>{one.response}</pre>}
          </div>
        )),
      }]}
    />
  )
}
