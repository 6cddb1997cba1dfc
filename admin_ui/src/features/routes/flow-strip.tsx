/** One route as a picture that follows the form: from where, on which condition, how long it waits, to whom, and then. */
import { ApiOutlined, ClockCircleOutlined, FilterOutlined, SendOutlined } from '@ant-design/icons'
import { Fragment, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useEntity } from '@/kit/bits'
import type { RouteValues, TargetValues } from './route-values'

interface Box {
  kind: 'source' | 'when' | 'wait' | 'target'
  icon: ReactNode
  lines: ReactNode[]
}

export function Flow({ values }: { values: RouteValues }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  const entity = useEntity()
  const boxes: Box[] = [{ kind: 'source', icon: <ApiOutlined />, lines: [values.from?.connection ?? '…', values.from?.entity ? entity(values.from.entity) : '…'] }]
  boxes.push({ kind: 'when', icon: <FilterOutlined />, lines: [values.when ? <code key="when">{values.when}</code> : t('flowAny')] })
  const time = (span: { n: number; unit: 's' | 'm' | 'h' | 'd' } | undefined): string[] => (span && span.n > 0 ? [t('flowWait', { time: `${span.n} ${common(`unit.${span.unit}`)}` })] : [])
  const others = [
    ...(values.quiet && values.hours ? [t('flowHours', { from: values.hours.from, to: values.hours.to })] : []),
    ...((values.unless ?? []).some((one) => one?.entity) ? [t('flowUnless', { what: [...new Set(values.unless.map((one) => (one?.entity ? entity(one.entity).toLowerCase() : '')).filter(Boolean))].join('、') })] : []),
  ]
  const first = [...time(values.after), ...others]
  if (first.length > 0) boxes.push({ kind: 'wait', icon: <ClockCircleOutlined />, lines: first })
  const targets = (all: TargetValues[] | undefined): Box => ({
    kind: 'target', icon: <SendOutlined />,
    lines: (all ?? []).map((one) => {
      const quota = one?.quota?.[0]
      return <>{one?.connection ?? '…'} <code className="dim">{one?.operation ?? ''}</code>{quota && <span className="dim"> {t('flowQuota', { per: t(`per.${quota.per}`), n: quota.limit })}</span>}</>
    }),
  })
  boxes.push(targets(values.to))
  for (const step of values.then ?? []) {
    const wait = time(step?.after)
    if (wait.length > 0) boxes.push({ kind: 'wait', icon: <ClockCircleOutlined />, lines: wait })
    boxes.push(targets(step?.to))
  }
  return (
    <section className="panel flow-strip" aria-label={t('flowTitle')} tabIndex={0}>
      {boxes.map((box, i) => (
        <Fragment key={i}>
          {i > 0 && <span className="flow-arrow" aria-hidden="true">→</span>}
          <div className={`flow-box flow-${box.kind}`}><span className="flow-icon" aria-hidden="true">{box.icon}</span><div>{box.lines.map((line, at) => <span key={at} className="flow-line">{line}</span>)}</div></div>
        </Fragment>
      ))}
    </section>
  )
}
