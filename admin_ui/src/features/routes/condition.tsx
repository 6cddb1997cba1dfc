/** The condition builder: rows of field, operator, value; or the expression itself for what rows cannot say. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Alert, Button, Input, Segmented, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useModel, type ModelField } from '@/data/catalogue'
import { useLanguage } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { BARE, parse, print, type Condition, type Op, type Row } from '@/lib/condition'

const OPS: Record<string, Op[]> = {
  enum: ['==', '!=', 'in'], boolean: ['true', 'false'], decimal: ['>', '>=', '<', '<=', '==', '!='], moment: ['exists', 'missing'], text: ['==', '!=', 'in', 'contains', 'startsWith', 'exists', 'missing'],
}

export function ConditionBuilder({ entity, value, onChange, disabled }: { entity: string | undefined; value?: string | null; onChange?: (text: string | null) => void; disabled?: boolean }) {
  const { t } = useTranslation('routes')
  const text = value ?? ''
  const rows = parse(text)
  const [raw, setRaw] = useState(rows === null)
  const asText = raw || rows === null
  return (
    <div className="condition">
      {asText ? (
        <>
          {rows === null && <Alert type="info" title={t('tooComplex')} />}
          <Input.TextArea className="mono" aria-label={t('when')} value={text} disabled={disabled} onChange={(event) => onChange?.(event.target.value || null)} rows={2} spellCheck={false} maxLength={1000} />
        </>
      ) : (
        <Rows entity={entity} condition={rows} change={(next) => onChange?.(print(next) || null)} disabled={disabled} />
      )}
      {rows !== null && <Button type="link" size="small" onClick={() => setRaw(!asText)}>{asText ? t('asForm') : t('asText')}</Button>}
    </div>
  )
}

function Rows({ entity, condition, change, disabled }: { entity: string | undefined; condition: Condition; change: (next: Condition) => void; disabled?: boolean }) {
  const { t } = useTranslation('routes')
  const language = useLanguage()
  const model = useModel(entity)
  // A row without a field is no expression yet, so drafts live here until they are one.
  const [drafts, setDrafts] = useState<Row[]>([])
  const fields = (model.data?.fields ?? []).filter((one) => !one.within && !['part', 'list', 'any'].includes(one.shape))
  const shown = [...condition.rows, ...drafts]
  const known = new Map(fields.map((one) => [`${entity}.${one.path}`, one]))
  const options = fields.map((one) => ({ value: `${entity}.${one.path}`, label: fieldName(one.path, language), path: one.path }))

  function set(at: number, row: Row | null): void {
    const next = shown.flatMap((one, i) => (i === at ? (row ? [row] : []) : [one]))
    const whole = next.filter((one) => one.field && (BARE.has(one.op) || one.value !== ''))
    setDrafts(next.filter((one) => !whole.includes(one)))
    change({ ...condition, rows: whole })
  }

  return (
    <div className="stack-tight">
      {shown.length === 0 && <p className="dim">{t('anything')}</p>}
      {condition.rows.length > 1 && <Segmented<Condition['join']> size="small" disabled={disabled} value={condition.join} onChange={(join) => change({ ...condition, join })} options={[{ value: '&&', label: t('sentence.allOf') }, { value: '||', label: t('sentence.orElse') }]} />}
      {shown.map((row, i) => {
        const field = known.get(row.field)
        return (
          <div key={i} className="condition-row">
            <Select showSearch={{ optionFilterProp: 'search' }} aria-label={t('field')} placeholder={t('field')} disabled={disabled} value={row.field || undefined}
              options={options.map((one) => ({ value: one.value, search: `${one.label} ${one.path}`, label: <span>{one.label} <code className="dim">{one.path}</code></span> }))}
              onChange={(path: string) => set(i, fitting(path, known.get(path)))} />
            <Select aria-label={t('when')} disabled={disabled || !row.field} value={row.op} options={(OPS[field?.shape ?? 'text'] ?? OPS.text ?? []).map((one) => ({ value: one, label: t(`op.${one}` as never) }))} onChange={(op: Op) => set(i, { ...row, op })} />
            {!BARE.has(row.op) && <Value field={field} row={row} disabled={disabled} change={(value) => set(i, { ...row, value })} />}
            <Button type="text" icon={<DeleteOutlined />} aria-label={t('removeTarget')} disabled={disabled} onClick={() => set(i, null)} />
          </div>
        )
      })}
      <Button size="small" icon={<PlusOutlined />} disabled={disabled || !entity} onClick={() => setDrafts([...drafts, { field: '', op: '==', value: '', numeric: false }])}>{t('addCondition')}</Button>
    </div>
  )
}

function fitting(path: string, field: ModelField | undefined): Row {
  const op = OPS[field?.shape ?? 'text']?.[0] ?? '=='
  return { field: path, op, value: field?.shape === 'enum' ? (field.values?.[0] ?? '') : '', numeric: field?.shape === 'decimal' }
}

function Value({ field, row, change, disabled }: { field: ModelField | undefined; row: Row; change: (value: string) => void; disabled?: boolean }) {
  const { t } = useTranslation('routes')
  const values = (field?.values ?? []).map((one) => ({ value: one, label: one }))
  if (field?.shape === 'enum' && row.op !== 'in') return <Select aria-label={t('value')} disabled={disabled} value={row.value || undefined} options={values} onChange={change} />
  if (row.op === 'in') return <Select mode="tags" aria-label={t('value')} disabled={disabled} value={row.value.split(/[,，]\s*/).filter(Boolean)} options={values} onChange={(all: string[]) => change(all.join(', '))} placeholder={t('values')} />
  return <Input aria-label={t('value')} disabled={disabled} value={row.value} onChange={(event) => change(event.target.value)} inputMode={row.numeric ? 'decimal' : undefined} />
}
