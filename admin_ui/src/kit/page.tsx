/** The frame of a page: title, one sentence, actions; and its three other states (loading, empty, broken). */
import { Alert, Button, Empty, Skeleton } from 'antd'
import { useEffect, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '@/api/client'
import { useProblemWords } from './query'

export function Page(props: { title: ReactNode; name?: string; lead?: ReactNode; actions?: ReactNode; back?: ReactNode; wide?: boolean; children: ReactNode }) {
  const { t } = useTranslation()
  const name = props.name ?? (typeof props.title === 'string' ? props.title : '')
  useEffect(() => {
    document.title = name ? `${name} · ${t('product')}` : t('product')
  }, [name, t])
  return (
    <div className={props.wide ? 'page page-wide' : 'page'}>
      <header className="page-head">
        <div className="page-words">
          {props.back}
          <h1>{props.title}</h1>
          {props.lead && <p>{props.lead}</p>}
        </div>
        {props.actions && <div className="page-actions">{props.actions}</div>}
      </header>
      {props.children}
    </div>
  )
}

export function Trouble({ error, again }: { error: unknown; again?: () => void }) {
  const tell = useProblemWords()
  const { t } = useTranslation()
  const trace = error instanceof Problem ? error.body.trace_id : ''
  return (
    <Alert
      type="error"
      showIcon
      title={tell(error)}
      description={trace ? <span className="mono dim">{t('trace')} {trace}</span> : undefined}
      action={again && <Button size="small" onClick={again}>{t('retry')}</Button>}
    />
  )
}

export function Nothing({ title, hint, children, art = true }: { title: string; hint?: ReactNode; children?: ReactNode; art?: boolean }) {
  return (
    <Empty
      className="nothing"
      image={art ? <Art /> : Empty.PRESENTED_IMAGE_SIMPLE}
      description={<><strong>{title}</strong>{hint && <p>{hint}</p>}</>}
    >
      {children}
    </Empty>
  )
}

function Art() {
  return (
    <svg viewBox="0 0 160 96" width="160" height="96" aria-hidden="true" className="art">
      <path d="M34 48 C60 10 100 10 126 48 M34 48 C60 86 100 86 126 48" />
      <circle cx="34" cy="48" r="13" /><circle cx="126" cy="48" r="13" /><circle cx="80" cy="48" r="19" className="hub" />
    </svg>
  )
}

/** What a query shows before, instead of and after its data. */
export function Loaded<T>({ query, children, rows = 6 }: {
  query: { data: T | undefined; error: Error | null; isPending: boolean; refetch: () => unknown }
  children: (data: T) => ReactNode
  rows?: number
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>
  if (query.error) return <Trouble error={query.error} again={() => void query.refetch()} />
  return <div className="panel"><Skeleton active paragraph={{ rows }} /></div>
}
