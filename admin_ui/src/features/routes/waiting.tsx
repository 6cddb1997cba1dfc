/** When it goes: a delay, what makes it pointless meanwhile, and the hours in which it may be sent. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Checkbox, DatePicker, Form, Input, InputNumber, Select, Switch } from 'antd'
import dayjs, { type Dayjs } from 'dayjs'
import { useTranslation } from 'react-i18next'
import type { Connection, Connector } from '@/data/catalogue'
import { useEntity } from '@/kit/bits'
import { ConditionBuilder } from './condition'
import { DAYS, type RouteValues } from './route-values'

const ENTITIES = ['order', 'shipment', 'customer', 'product', 'inventory', 'after_sale', 'message', 'approval'] as const
const CLOCK = /^([01]?\d|2[0-3]):[0-5]\d$|^24:00$/
const ZONES = ['Asia/Shanghai', 'Asia/Hong_Kong', 'Asia/Taipei', 'Asia/Singapore', 'Asia/Tokyo', 'Europe/London', 'Europe/Berlin', 'America/New_York', 'America/Los_Angeles', 'UTC']

export function Waiting({ values, connections, disabled }: { values?: RouteValues; connections: Connection[]; connectors: Map<string, Connector>; disabled: boolean }) {
  const { t } = useTranslation('routes')
  return (
    <section className="panel waiting-part" aria-label={t('timing')}>
      <h2>{t('timing')}<small>{t('timingHint')}</small></h2>
      <Form.Item label={t('after')} extra={<span className="field-help">{t('afterHint')}</span>}><After name="after" /></Form.Item>
      <Unless values={values} connections={connections} disabled={disabled} />
      <div className="row quiet-switch"><Form.Item name="quiet" valuePropName="checked" noStyle><Switch aria-label={t('quiet')} /></Form.Item><span><strong>{t('quiet')}</strong> <span className="dim">{t('quietHint')}</span></span></div>
      {values?.quiet && <Hours />}
    </section>
  )
}

export function After({ name }: { name: string | (string | number)[] }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  const path = Array.isArray(name) ? name : [name]
  return (
    <div className="row">
      <Form.Item name={[...path, 'n']} noStyle><InputNumber min={0} max={99999} aria-label={t('after')} /></Form.Item>
      <Form.Item name={[...path, 'unit']} noStyle><Select style={{ width: 100 }} aria-label={t('afterUnit')} options={(['s', 'm', 'h', 'd'] as const).map((one) => ({ value: one, label: common(`unit.${one}`) }))} /></Form.Item>
    </div>
  )
}

function Unless({ values, connections, disabled }: { values?: RouteValues; connections: Connection[]; disabled: boolean }) {
  const { t } = useTranslation('routes')
  const entityName = useEntity()
  return (
    <Form.List name="unless">
      {(rows, { add, remove }) => (
        <div className="stack-tight unless">
          <span className="dim">{t('unlessHint')}</span>
          {rows.map((row) => (
            <div key={row.key} className="route-target unless-row">
              <div className="grow">
                <div className="sentence-fields">
                  <Form.Item name={[row.name, 'connection']} label={t('unlessWhere')}><Select showSearch allowClear placeholder={t('unlessAny')} options={connections.map((one) => ({ value: one.key, label: one.key }))} /></Form.Item>
                  <Form.Item name={[row.name, 'entity']} label={t('unlessWhat')} rules={[{ required: true, message: t('entity') }]}><Select placeholder={t('entity')} options={ENTITIES.map((one) => ({ value: one, label: entityName(one) }))} /></Form.Item>
                </div>
                <Form.Item name={[row.name, 'when']} label={t('when')}><ConditionBuilder entity={values?.unless?.[row.name]?.entity} disabled={disabled} /></Form.Item>
              </div>
              <Button type="text" danger icon={<DeleteOutlined />} aria-label={t('removeUnless')} onClick={() => remove(row.name)} />
            </div>
          ))}
          {rows.length < 20 && <Button icon={<PlusOutlined />} size="small" onClick={() => add({})}>{t('addUnless')}</Button>}
        </div>
      )}
    </Form.List>
  )
}

function Hours() {
  const { t } = useTranslation('routes')
  const clock = { validator: (_: unknown, value: string) => (CLOCK.test(value ?? '') ? Promise.resolve() : Promise.reject(new Error(t('clockWrong')))) }
  return (
    <div className="hours">
      <Form.Item name={['hours', 'days']} label={t('days')} rules={[{ validator: (_, value?: string[]) => (value?.length ? Promise.resolve() : Promise.reject(new Error(t('daysNeeded')))) }]}><Checkbox.Group options={DAYS.map((one) => ({ value: one, label: t(`day.${one}`) }))} /></Form.Item>
      <div className="sentence-fields">
        <Form.Item name={['hours', 'from']} label={t('hoursFrom')} rules={[clock]}><Input maxLength={5} inputMode="numeric" /></Form.Item>
        <Form.Item name={['hours', 'to']} label={t('hoursTo')} rules={[clock]} extra={<span className="field-help">{t('overnight')}</span>}><Input maxLength={5} inputMode="numeric" /></Form.Item>
        <Form.Item name={['hours', 'zone']} label={t('zone')}><Select showSearch options={ZONES.map((one) => ({ value: one, label: one }))} /></Form.Item>
      </div>
      <div className="sentence-fields">
        <Form.Item name={['hours', 'holidays']} label={t('holidays')} extra={<span className="field-help">{t('holidaysHint')}</span>} getValueProps={(value?: string[]) => ({ value: dates(value) })} normalize={plain}><DatePicker multiple maxTagCount={4} style={{ width: '100%' }} /></Form.Item>
        <Form.Item name={['hours', 'extra']} label={t('extraDays')} extra={<span className="field-help">{t('extraDaysHint')}</span>} getValueProps={(value?: string[]) => ({ value: dates(value) })} normalize={plain}><DatePicker multiple maxTagCount={4} style={{ width: '100%' }} /></Form.Item>
      </div>
    </div>
  )
}

const dates = (value: string[] | undefined): Dayjs[] => (value ?? []).map((one) => dayjs(one))
const plain = (value: Dayjs[] | null): string[] => (value ?? []).map((one) => one.format('YYYY-MM-DD')).sort()
