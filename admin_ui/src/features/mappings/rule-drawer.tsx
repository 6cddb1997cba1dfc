/** One rule as a form: direction, codec with its options, conditions, defaults; tables of values in place. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Drawer, Form, Input, InputNumber, Radio, Select, Switch } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useLanguage } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { removeRule, setRule, setTable, type At, type Mapping, type Rule, type Way } from './document'

export interface Chosen {
  at: At
}

const CODECS = ['text', 'number', 'money', 'datetime', 'enum', 'boolean', 'split', 'join', 'address', 'json'] as const
const FORMATS = ['%Y-%m-%d %H:%M:%S', '%Y-%m-%dT%H:%M:%S', '%Y-%m-%d', 'iso', 'unix_s', 'unix_ms']
const ZONES = ['Asia/Shanghai', 'UTC', 'Asia/Hong_Kong', 'Asia/Tokyo']

export function findRule(rules: Rule[], at: At): Rule | undefined {
  const [index, ...rest] = at
  const rule = rules.find((one) => one.at[one.at.length - 1] === index)
  if (!rule || rest.length === 0) return rule
  const [step, ...deeper] = rest
  return findRule((step === 'each' ? rule.each : rule.inside) ?? [], deeper)
}

export function RuleDrawer({ chosen, mapping, text, editable, change, close }: { chosen: Chosen; mapping: Mapping; text: string; editable: boolean; change: (text: string) => void; close: () => void }) {
  const { t } = useTranslation('mappings')
  const { t: common } = useTranslation()
  const language = useLanguage()
  const rule = findRule(mapping.rules, chosen.at)
  if (!rule) return null
  const given = rule.given
  const list = rule.each !== undefined || rule.inside !== undefined
  const set = (part: Record<string, unknown>): void => change(setRule(text, chosen.at, { ...given, ...part }))
  const options = (codec: string | undefined): Record<string, unknown> => ({ codec, unit: codec === 'money' ? (given.unit ?? 'yuan') : undefined, format: codec === 'datetime' ? (given.format ?? FORMATS[0]) : undefined, zone: codec === 'datetime' ? (given.zone ?? 'Asia/Shanghai') : undefined, table: codec === 'enum' ? given.table : undefined, true: codec === 'boolean' ? given.true : undefined, false: codec === 'boolean' ? given.false : undefined, by: codec === 'split' || codec === 'join' ? (given.by ?? ',') : undefined, as: given.as, places: given.places })
  return (
    <Drawer open onClose={close} size={480} title={t('rule')} extra={editable && <Button danger type="text" icon={<DeleteOutlined />} onClick={() => { change(removeRule(text, chosen.at)); close() }}>{t('removeRule')}</Button>}>
      <Form layout="vertical" disabled={!editable} component="div">
        {rule.native !== undefined && <Form.Item label={t('nativePath')}><Text value={String(given.native ?? '')} set={(native) => set({ native })} /></Form.Item>}
        {rule.canonical !== undefined && <Form.Item label={<span>{t('canonicalPath')} · {fieldName(rule.canonical, language)}</span>}><Text value={String(given.canonical ?? '')} set={(canonical) => set({ canonical })} /></Form.Item>}
        <Form.Item label={t('way')}><Radio.Group value={rule.way} onChange={(event) => set({ way: event.target.value === 'both' ? undefined : (event.target.value as Way) })} options={(['both', 'from', 'to'] as const).map((one) => ({ value: one, label: t(`ways.${one}`) }))} optionType="button" /></Form.Item>
        {!list && (
          <>
            <Form.Item label={t('codec')}><Select aria-label={t('codec')} allowClear value={rule.codec} placeholder={t('codecNone')} onChange={(codec?: string) => set(options(codec))} options={CODECS.map((one) => ({ value: one, label: t(`codecs.${one}`) }))} /></Form.Item>
            {rule.codec === 'money' && <Form.Item label={t('unit')}><Radio.Group value={given.unit} onChange={(event) => set({ unit: event.target.value as string })} options={[{ value: 'yuan', label: t('units.yuan') }, { value: 'fen', label: t('units.fen') }]} /></Form.Item>}
            {rule.codec === 'datetime' && <Form.Item label={t('format')}><Select aria-label={t('format')} value={String(given.format ?? '')} onChange={(format: string) => set({ format })} options={[...new Set([...FORMATS, String(given.format ?? '')])].filter(Boolean).map((one) => ({ value: one, label: one }))} /></Form.Item>}
            {rule.codec === 'datetime' && <Form.Item label={t('zone')}><Select aria-label={t('zone')} allowClear value={given.zone as string | undefined} onChange={(zone?: string) => set({ zone })} options={ZONES.map((one) => ({ value: one, label: one }))} /></Form.Item>}
            {rule.codec === 'enum' && <Table mapping={mapping} name={given.table as string | undefined} choose={(table) => set({ table })} text={text} change={change} editable={editable} />}
            {rule.codec === 'boolean' && <div className="row"><Form.Item label={t('yesValue')}><Text value={show(given.true)} set={(value) => set({ true: value })} /></Form.Item><Form.Item label={t('noValue')}><Text value={show(given.false)} set={(value) => set({ false: value })} /></Form.Item></div>}
            {(rule.codec === 'split' || rule.codec === 'join') && <Form.Item label={t('by2')}><Text value={show(given.by)} set={(by) => set({ by })} /></Form.Item>}
            {['text', 'number', 'money', 'datetime', 'enum', undefined].includes(rule.codec) && rule.way !== 'from' && <Form.Item label={t('as')}><Select aria-label={t('as')} allowClear value={given.as as string | undefined} onChange={(as?: string) => set({ as })} options={(['string', 'number', 'integer'] as const).map((one) => ({ value: one, label: t(`asWhat.${one}`) }))} /></Form.Item>}
            {(rule.codec === 'money' || rule.codec === 'number') && <Form.Item label={t('places')}><InputNumber min={0} max={10} value={given.places as number | undefined} onChange={(places) => set({ places: places ?? undefined })} /></Form.Item>}
            {'value' in given && <Form.Item label={t('constant')}><Text value={show(given.value)} set={(value) => set({ value })} /></Form.Item>}
            {'expr' in given && <Form.Item label={t('expr')}><Text mono value={show(given.expr)} set={(expr) => set({ expr })} /></Form.Item>}
            {rule.way !== 'both' && <Form.Item label={t('when')}><Text mono value={show(given.when)} set={(when) => set({ when: when || undefined })} /></Form.Item>}
            <Form.Item label={t('defaultValue')}><Text value={show(given.default)} set={(value) => set({ default: value === '' ? undefined : value })} /></Form.Item>
            <div className="row switches">
              <label><Switch size="small" checked={given.required === true} onChange={(on) => set({ required: on || undefined })} /> {common('required')}</label>
              <label><Switch size="small" checked={given.trim === true} onChange={(on) => set({ trim: on || undefined })} /> {t('trim')}</label>
              <label><Switch size="small" checked={given.when_absent === true} onChange={(on) => set({ when_absent: on || undefined })} /> {t('whenAbsent')}</label>
            </div>
          </>
        )}
        <Form.Item label={t('note')} style={{ marginTop: 16 }}><Text value={show(given.note)} set={(note) => set({ note: note || undefined })} /></Form.Item>
      </Form>
    </Drawer>
  )
}

const show = (value: unknown): string => (value === undefined || value === null ? '' : Array.isArray(value) ? value.join(', ') : String(value))

/** Text that counts when it is left: each keystroke must not rewrite the file. */
function Text({ value, set, mono }: { value: string; set: (value: string) => void; mono?: boolean }) {
  const [draft, setDraft] = useState<string | null>(null)
  const keep = (): void => {
    if (draft !== null && draft !== value) set(draft)
    setDraft(null)
  }
  return <Input className={mono ? 'mono' : undefined} value={draft ?? value} onChange={(event) => setDraft(event.target.value)} onBlur={keep} onPressEnter={keep} spellCheck={false} />
}

function Table({ mapping, name, choose, text, change, editable }: { mapping: Mapping; name?: string; choose: (name: string) => void; text: string; change: (text: string) => void; editable: boolean }) {
  const { t } = useTranslation('mappings')
  const table = name ? mapping.tables[name] : undefined
  const rows = Object.entries(table?.from ?? {})
  const put = (next: [string, unknown][]): void => {
    if (name) change(setTable(text, name, { ...table, from: Object.fromEntries(next) }))
  }
  return (
    <div className="map-table">
      <Form.Item label={t('tableName')}><Select aria-label={t('tableName')} value={name} onChange={choose} options={Object.keys(mapping.tables).map((one) => ({ value: one, label: one }))} /></Form.Item>
      {table && (
        <>
          <div className="map-table-row dim"><span>{t('tableFrom')}</span><span>{t('tableTo')}</span><span /></div>
          {rows.map(([from, to], i) => (
            <div key={i} className="map-table-row">
              <Text value={from} set={(value) => put(rows.map((row, n) => (n === i ? [value, row[1]] : row)))} />
              <Text value={show(to)} set={(value) => put(rows.map((row, n) => (n === i ? [row[0], value] : row)))} />
              <Button type="text" icon={<DeleteOutlined />} aria-label={t('removeRule')} disabled={!editable} onClick={() => put(rows.filter((_, n) => n !== i))} />
            </div>
          ))}
          <Button size="small" icon={<PlusOutlined />} disabled={!editable} onClick={() => put([...rows, [`new_${rows.length + 1}`, '']])}>{t('addRow')}</Button>
        </>
      )}
    </div>
  )
}
