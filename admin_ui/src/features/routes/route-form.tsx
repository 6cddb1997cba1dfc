/** The form of a route, in the order people say it. */
import { Form, Input, Radio, Select, type FormInstance } from 'antd'
import { useTranslation } from 'react-i18next'
import type { Connection, Connector } from '@/data/catalogue'
import { useEntity } from '@/kit/bits'
import { ConditionBuilder } from './condition'
import type { RouteValues } from './route-values'
import { Steps } from './steps'
import { ConnectionSelect, Targets } from './target'
import { Waiting } from './waiting'

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
            <Targets name="to" entity={values?.from?.entity} values={values?.to} connections={connections} connectors={connectors} />
          </div>
        </div>
        <Steps entity={values?.from?.entity} values={values?.then} connections={connections} connectors={connectors} />
      </section>
      <Waiting values={values} connections={connections} connectors={connectors} disabled={disabled} />
      <section className="panel">
        <div className="sentence-fields">
          <Form.Item name="label" label={t('label')} extra={<span className="field-help">{t('labelHint')}</span>}><Input maxLength={120} /></Form.Item>
          <Form.Item name="key" label={t('key')} extra={<span className="field-help">{t('keyHint')}</span>} rules={[{ required: true, pattern: /^[a-z0-9][a-z0-9_-]{0,59}$/, message: t('keyHint') }]}><Input disabled={stored || disabled} autoComplete="off" spellCheck={false} className="mono" /></Form.Item>
        </div>
        <div className="sentence-fields">
          <Form.Item name="order" label={t('order')}>
            <Radio.Group className="radios">
              <Radio value="hold">{t('hold')}<small className="dim">{t('holdHint')}</small></Radio>
              <Radio value="supersede">{t('supersede')}<small className="dim">{t('supersedeHint')}</small></Radio>
              <Radio value="skip">{t('skip')}<small className="dim">{t('skipHint')}</small></Radio>
            </Radio.Group>
          </Form.Item>
        </div>
      </section>
    </Form>
  )
}
