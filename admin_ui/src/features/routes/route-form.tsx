/** The form of a route, in the order people say it. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Form, Input, InputNumber, Radio, Select, type FormInstance } from 'antd'
import { useTranslation } from 'react-i18next'
import { useMappings, useTemplates, type Connection, type Connector } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { useEntity } from '@/kit/bits'
import { ConditionBuilder } from './condition'
import { carries } from './fitting'
import type { RouteValues, TargetValues } from './route-values'

export type { RouteValues } from './route-values'

interface Props {
  form: FormInstance<RouteValues>
  connections: Connection[]
  connectors: Map<string, Connector>
  initial: RouteValues
  stored: boolean
  disabled: boolean
  suggest: (values: Partial<RouteValues>) => string
  touched: () => void
}

export function RouteForm({ form, connections, connectors, initial, stored, disabled, suggest, touched }: Props) {
  const { t } = useTranslation('routes')
  const entityName = useEntity()
  const values = Form.useWatch([], form) as RouteValues | undefined
  const source = connections.find((one) => one.key === values?.from?.connection)
  const entities = [...new Set((connectors.get(source?.connector ?? '')?.doors ?? []).flatMap((one) => one.entities))]
  const every = ['order', 'shipment', 'customer', 'product', 'inventory', 'after_sale', 'message', 'approval']

  function follow(changed: Partial<RouteValues>): void {
    touched()
    if (stored || 'key' in changed || form.isFieldTouched('key')) return
    const key = suggest(form.getFieldsValue(true) as Partial<RouteValues>)
    if (key) form.setFieldValue('key', key)
  }

  return (
    <Form<RouteValues> form={form} layout="vertical" initialValues={initial} disabled={disabled} onValuesChange={follow} requiredMark={false}>
      <section className="panel sentence">
        <div className="sentence-part">
          <b className="sentence-word">{t('sentence.when')}</b>
          <div className="grow sentence-fields">
            <Form.Item name={['from', 'connection']} label={t('source')} rules={[{ required: true, message: t('source') }]}><ConnectionSelect connections={connections} connectors={connectors} /></Form.Item>
            <Form.Item name={['from', 'entity']} label={t('entity')} rules={[{ required: true, message: t('entity') }]}>
              <Select placeholder={t('entity')} options={(entities.length ? entities : every).map((one) => ({ value: one, label: entityName(one) }))} />
            </Form.Item>
          </div>
        </div>
        <div className="sentence-part">
          <b className="sentence-word">{t('sentence.and')}</b>
          <div className="grow"><Form.Item name="when" label={t('when')} style={{ marginBottom: 0 }}><ConditionBuilder entity={values?.from?.entity} disabled={disabled} /></Form.Item></div>
        </div>
        <div className="sentence-part">
          <b className="sentence-word">{t('sentence.then')}</b>
          <div className="grow">
            <Form.List name="to">
              {(rows, { add, remove }) => (
                <div className="stack-tight">
                  {rows.map((row) => <Target key={row.key} at={row.name} entity={values?.from?.entity} target={values?.to?.[row.name]} connections={connections} connectors={connectors} remove={rows.length > 1 ? () => remove(row.name) : undefined} />)}
                  {rows.length < 20 && <Button icon={<PlusOutlined />} onClick={() => add({})} size="small">{t('addTarget')}</Button>}
                </div>
              )}
            </Form.List>
          </div>
        </div>
      </section>
      <section className="panel">
        <div className="sentence-fields">
          <Form.Item name="label" label={t('label')} extra={<span className="field-help">{t('labelHint')}</span>}><Input maxLength={120} /></Form.Item>
          <Form.Item name="key" label={t('key')} extra={<span className="field-help">{t('keyHint')}</span>} rules={[{ required: true, pattern: /^[a-z0-9][a-z0-9_-]{0,59}$/, message: t('keyHint') }]}><Input disabled={stored || disabled} autoComplete="off" spellCheck={false} className="mono" /></Form.Item>
        </div>
        <div className="sentence-fields">
          <Form.Item label={t('after')} extra={<span className="field-help">{t('afterHint')}</span>}><After /></Form.Item>
          <Form.Item name="order" label={t('order')}>
            <Radio.Group className="radios">
              <Radio value="hold">{t('hold')}<small className="dim">{t('holdHint')}</small></Radio>
              {initial.order === 'supersede' && <Radio value="supersede">{t('supersede')}<small className="dim">{t('supersedeHint')}</small></Radio>}
              <Radio value="skip">{t('skip')}<small className="dim">{t('skipHint')}</small></Radio>
            </Radio.Group>
          </Form.Item>
        </div>
      </section>
    </Form>
  )
}

function After() {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  return (
    <div className="row">
      <Form.Item name={['after', 'n']} noStyle><InputNumber min={0} max={99999} aria-label={t('after')} /></Form.Item>
      <Form.Item name={['after', 'unit']} noStyle><Select style={{ width: 100 }} aria-label={t('after')} options={(['s', 'm', 'h', 'd'] as const).map((one) => ({ value: one, label: common(`unit.${one}`) }))} /></Form.Item>
    </div>
  )
}

function ConnectionSelect({ connections, connectors, ...rest }: { connections: Connection[]; connectors: Map<string, Connector>; value?: string; onChange?: (value: string) => void; id?: string }) {
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
  const connector = connectors.get(connections.find((one) => one.key === target?.connection)?.connector ?? '')
  const operations = (connector?.operations ?? []).filter((one) => one.target)
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
      </div>
      {remove && <Button type="text" danger icon={<DeleteOutlined />} aria-label={t('removeTarget')} onClick={remove} />}
    </div>
  )
}
