/** The live preview: the text as it stands, run by the hub on a sample; the interface never maps by itself. */
import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { pick, type Mapping } from './document'

const CALM = 450

interface Run {
  way: 'from' | 'to'
  record: unknown
  result: unknown
  errors: Schemas['MappingFault'][]
  remarks: Schemas['Remark'][]
  state: 'good' | 'bad' | 'wait' | null
  chosen: string | undefined
  choose: (name: string) => void
  options: { value: string; label: string }[]
}

export function useTrial(mapping: Schemas['Mapping'], text: string, parsed: Mapping | null, allowed: boolean): Run {
  const { t } = useTranslation('mappings')
  const tests = parsed?.tests ?? []
  const first = tests.find((one) => one.way === 'from') ?? tests[0]
  const [name, setName] = useState<string>()
  const chosen = tests.find((one) => one.name === name) ?? first
  const sample = useQuery({
    queryKey: ['sample', mapping.connector, chosen?.sample],
    enabled: Boolean(chosen?.sample),
    staleTime: Infinity,
    queryFn: () => ask(api.GET('/api/v1/samples/{connector}/{name}', { params: { path: { connector: mapping.connector, name: chosen?.sample ?? '' } } })),
  })
  const record = useMemo(() => (chosen?.sample ? (sample.data ? pick(sample.data.content, chosen.at) : undefined) : chosen ? pick(chosen.record, chosen.at) : undefined), [chosen?.name, chosen?.at, sample.data, text])
  const calm = useCalm(text)
  const trial = useQuery({
    queryKey: ['trial', mapping.connector, mapping.name, calm, chosen?.name],
    enabled: allowed && record !== undefined && record !== null && chosen !== undefined,
    placeholderData: (before) => before,
    staleTime: 60_000,
    queryFn: () => ask(api.POST('/api/v1/mappings/preview', { body: { connector: mapping.connector, name: mapping.name, body: calm, way: chosen?.way ?? 'from', record: record as Record<string, never>, context: (chosen?.context ?? {}) as Record<string, never> } })),
  })
  const options = tests.map((one) => ({ value: one.name, label: `${one.way === 'from' ? t('from') : t('to')} · ${one.name}` }))
  return {
    way: chosen?.way ?? 'from', record, result: trial.data?.ok ? trial.data.result : undefined, errors: trial.data?.ok === false ? (trial.data.errors ?? []) : [], remarks: trial.data?.remarks ?? [],
    state: !allowed || !chosen ? null : trial.isFetching || calm !== text ? 'wait' : trial.data ? (trial.data.ok ? 'good' : 'bad') : null,
    chosen: chosen?.name, choose: setName, options,
  }
}

function useCalm(text: string): string {
  const [calm, setCalm] = useState(text)
  useEffect(() => {
    const timer = setTimeout(() => setCalm(text), CALM)
    return () => clearTimeout(timer)
  }, [text])
  return calm
}
