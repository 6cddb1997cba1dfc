/** The admin API as a readable list, from the hub's own document: nothing is fetched from elsewhere. */
import { useQuery } from '@tanstack/react-query'
import { Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '@/api/client'
import { useLanguage } from '@/i18n'
import { Loaded, Page } from '@/kit/page'

interface Operation { summary?: string; description?: string; operationId: string; tags?: string[]; parameters?: { name: string; in: string; description?: string; required?: boolean }[] }
type Document = { paths: Record<string, Record<string, Operation>> }

async function load(): Promise<Document> {
  const answer = await fetch('/api/openapi.json')
  if (!answer.ok) throw new Problem({ type: 'about:blank', title: `HTTP ${answer.status}`, status: answer.status, code: 'unavailable', trace_id: '' })
  return (await answer.json()) as Document
}

export default function Reference() {
  const { t } = useTranslation('settings')
  const [q, setQ] = useState('')
  const document = useQuery({ queryKey: ['openapi'], queryFn: load, staleTime: Infinity })
  return (
    <Page title={t('reference')} lead={t('referenceLead')} actions={<a href="/api/openapi.json" target="_blank" rel="noreferrer">{t('raw')} ↗</a>}>
      <div className="filters"><Input.Search style={{ maxWidth: 320 }} placeholder={t('filter')} aria-label={t('filter')} allowClear onChange={(event) => setQ(event.target.value)} /></div>
      <Loaded query={document}>{(found) => <Operations document={found} q={q.toLowerCase()} />}</Loaded>
    </Page>
  )
}

function Operations({ document, q }: { document: Document; q: string }) {
  const language = useLanguage()
  const rows = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => ({ path, method, one })))
  const shown = rows.filter(({ path, one }) => `${path} ${one.summary} ${one.operationId}`.toLowerCase().includes(q))
  const name = (text: string | undefined): string => {
    const words = (text ?? '').split(' ')
    const cut = words.findIndex((one) => /^[A-Za-z]/.test(one) && !/^API$/.test(one))
    return cut <= 0 ? (text ?? '') : language === 'zh' ? words.slice(0, cut).join(' ') : words.slice(cut).join(' ')
  }
  return (
    <div className="panel reference">
      {shown.map(({ path, method, one }) => (
        <details key={one.operationId}>
          <summary><b className={`verb verb-${method}`}>{method.toUpperCase()}</b><code>{path}</code><span className="dim">{name(one.summary)}</span></summary>
          <p>{one.description}</p>
          {one.parameters && <ul>{one.parameters.map((part) => <li key={part.name}><code>{part.name}</code> <span className="dim">{part.in}{part.required ? ' *' : ''} {part.description}</span></li>)}</ul>}
        </details>
      ))}
    </div>
  )
}
