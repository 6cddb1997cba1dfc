/** The targets of a route or of one of its steps: where, by which operation, in which words, how often at most. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Form, InputNumber, Select } from 'antd'
import { useTranslation } from 'react-i18next'
import { useMappings, useTemplates, type Connection, type Connector } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { applies } from '@/lib/form-values'
import { carries } from './fitting'
import type { Quota, TargetValues } from './route-values'

export interface Around {
  entity?: string
  connections: Connection[]
  connectors: Map<string, Connector>
}

/** A list of targets under `name` of the form; inside of a list of steps that is `[step, 'to']`. */
export function Targets({ name, values, ...around }: Around & { name: string | (string | number)[]; values?: TargetValues[] }) {
  const { t } = useTranslation('routes')
  return (
    <Form.List name={name}>
      {(rows, { add, remove }) => (
        <div className="stack-tight">
          {rows.map((row) => <Target key={row.key} at={row.name} target={values?.[row.name]} {...around} remove={rows.length > 1 ? () => remove(row.name) : undefined} />)}
          {rows.length < 20 && <Button icon={<PlusOutlined />} onClick={() => add({})} size="small">{t('addTarget')}</Button>}
        </div>
      )}
    </Form.List>
  )
}

const PERIODS = ['day', 'week', 'month'] as const

/** How often one contact gets it; one bound by form, more of them are kept as they are. */
function QuotaSelect({ value, onChange, id }: { value?: Quota[]; onChange?: (value: Quota[]) => void; id?: string }) {
  const { t } = useTranslation('routes')
  const [first, ...others] = value ?? []
  const set = (next: Quota | null): void => onChange?.(next ? [next, ...others] : others)
  return (
    <span className="quota">
      <Select id={id} value={first?.per ?? 'none'} onChange={(per: string) => set(per === 'none' ? null : ({ ...(first ?? { limit: 1, over: 'wait' }), per } as Quota))} options={[{ value: 'none', label: t('quotaNone') }, ...PERIODS.map((one) => ({ value: one, label: t(`per.${one}`) }))]} />
      {first && <InputNumber min={1} max={1_000_000} value={first.limit} onChange={(limit) => set({ ...first, limit: limit ?? 1 })} suffix={t('times')} aria-label={t('quotaLimit')} />}
      {first && <Select value={first.over ?? 'wait'} onChange={(over: 'wait' | 'skip') => set({ ...first, over })} aria-label={t('quotaOver')} options={(['wait', 'skip'] as const).map((one) => ({ value: one, label: t(`over.${one}`) }))} />}
    </span>
  )
}

export function ConnectionSelect({ connections, connectors, ...rest }: { connections: Connection[]; connectors: Map<string, Connector>; value?: string; onChange?: (value: string) => void; id?: string }) {
  const { t } = useTranslation('routes')
  const say = useSay()
  return (
    <Select {...rest} showSearch={{ optionFilterProp: 'search' }} placeholder={t('source')} options={connections.map((one) => {
      const name = say(connectors.get(one.connector)?.label)
      return { value: one.key, search: `${one.key} ${name} ${(connectors.get(one.connector)?.aliases ?? []).join(' ')}`, label: <span>{one.key} <span className="dim">{name}</span></span> }
    })} />
  )
}

function Target({ at, entity, target, connections, connectors, remove }: { at: number; entity?: string; target?: TargetValues; connections: Connection[]; connectors: Map<string, Connector>; remove?: () => void }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation('connections')
  const say = useSay()
  const templates = useTemplates()
  const mappings = useMappings()
  const there = connections.find((one) => one.key === target?.connection)
  const connector = connectors.get(there?.connector ?? '')
  const operations = (connector?.operations ?? []).filter((one) => one.target && applies(one, there?.config ?? {}, connector?.fields ?? []))
  const sorted = operations
    .map((one) => ({ one, fits: !connector || !entity || carries(connector.id, one, entity, mappings.data ?? []) || carries(connector.id, one, 'message', mappings.data ?? []) }))
    .sort((a, b) => Number(b.fits) - Number(a.fits))
  const operation = operations.find((one) => one.name === target?.operation)
  const speaks = operation?.entity === 'message' || operation?.mapping === 'message'
  const named = (mappings.data ?? []).filter((one) => one.connector === connector?.id && one.writes)
  return (
    <div className="route-target">
      <div className="sentence-fields grow">
        <Form.Item name={[at, 'connection']} label={t('target')} rules={[{ required: true, message: t('target') }]}><ConnectionSelect connections={connections} connectors={connectors} /></Form.Item>
        <Form.Item name={[at, 'operation']} label={t('operation')} rules={[{ required: true, message: t('operation') }]}>
          <Select placeholder={t('operation')} showSearch={{ optionFilterProp: 'search' }} options={sorted.map(({ one, fits }) => ({ value: one.name, search: `${one.name} ${say(one.label)}`, label: <span className={fits ? undefined : 'dim'}>{say(one.label)} <span className="tag">{common(`operation.${one.kind as 'write'}`)}</span>{!fits && <span className="dim"> {t('notFitting')}</span>}</span> }))} />
        </Form.Item>
        {(speaks || target?.template) && <Form.Item name={[at, 'template']} label={t('template')}><Select allowClear placeholder={t('template')} options={(templates.data ?? []).map((one) => ({ value: one.key, label: one.title || one.key }))} /></Form.Item>}
        {(named.length > 1 || target?.mapping) && <Form.Item name={[at, 'mapping']} label={t('mapping')}><Select allowClear placeholder={t('mappingAuto')} options={named.map((one) => ({ value: one.name, label: one.name }))} /></Form.Item>}
        {(operation?.kind === 'act' || speaks || (target?.quota ?? []).length > 0) && <Form.Item name={[at, 'quota']} label={t('quota')}><QuotaSelect /></Form.Item>}
      </div>
      {remove && <Button type="text" danger icon={<DeleteOutlined />} aria-label={t('removeTarget')} onClick={remove} />}
    </div>
  )
}
