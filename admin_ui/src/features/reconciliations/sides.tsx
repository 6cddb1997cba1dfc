/** The fields of a form that say what is compared with what; systems that cannot list it are told apart. */
import { Form, Select } from 'antd'
import { useTranslation } from 'react-i18next'
import { useConnections, useConnectorsOf, useModel } from '@/data/catalogue'
import { useLanguage, useSay } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { useEntity } from '@/kit/bits'

const ENTITIES = ['order', 'shipment', 'customer', 'product', 'inventory', 'after_sale'] as const

export function Sides() {
  const { t } = useTranslation('reconciliations')
  const entityName = useEntity()
  const say = useSay()
  const entity = Form.useWatch('entity') as string | undefined
  const connections = useConnections().data ?? []
  const connectors = useConnectorsOf(connections.map((one) => one.connector))
  const options = connections.map((one) => {
    const kind = connectors.get(one.connector)
    const lists = !entity || !kind || kind.operations.some((each) => each.kind === 'list' && each.entity === entity)
    return { value: one.key, disabled: !lists, search: `${one.key} ${say(kind?.label) ?? ''}`, label: <span>{one.key} <span className="dim">{say(kind?.label)}{!lists && entity && ` · ${t('notListed', { entity: entityName(entity) })}`}</span></span> }
  }).sort((a, b) => Number(a.disabled) - Number(b.disabled))
  const needed = [{ required: true, message: t('choose') }]
  return (
    <>
      <Form.Item name="entity" label={t('entity')} rules={needed}><Select placeholder={t('choose')} options={ENTITIES.map((one) => ({ value: one, label: entityName(one) }))} /></Form.Item>
      <div className="sentence-fields">
        <Form.Item name="left" label={t('left')} rules={needed} extra={<span className="field-help">{t('leftHint')}</span>}><Select showSearch={{ optionFilterProp: 'search' }} placeholder={t('choose')} options={options} /></Form.Item>
        <Form.Item name="right" label={t('right')} dependencies={['left']} rules={needed}><Select showSearch={{ optionFilterProp: 'search' }} placeholder={t('choose')} options={options} /></Form.Item>
      </div>
    </>
  )
}

export function Ignored() {
  const { t } = useTranslation('reconciliations')
  const language = useLanguage()
  const model = useModel(Form.useWatch('entity') as string | undefined)
  const fields = (model.data?.fields ?? []).filter((one) => !one.within && one.path !== 'id')
  return (
    <Form.Item name="ignore" label={t('ignore')} extra={<span className="field-help">{t('ignoreHint')}</span>}>
      <Select mode="multiple" showSearch={{ optionFilterProp: 'search' }} options={fields.map((one) => ({ value: one.path, search: `${fieldName(one.path, language)} ${one.path}`, label: fieldName(one.path, language) }))} />
    </Form.Item>
  )
}
