/** The parts of an alert's form: one rule, one channel, a choice of times. */
import { DeleteOutlined } from '@ant-design/icons'
import { Button, Checkbox, Form, InputNumber, Select } from 'antd'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '@/api/client'
import type { Connection } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { span } from '@/lib/time'
import { counts, type AlertValues, type RuleKind } from './values'

export type Channel = Schemas['AlertChannel']

/** Times to choose from; one that is stored and not among them is offered too. */
export function Times({ value, onChange, of, zero, id, label, normal }: { value?: number | null; onChange?: (seconds: number) => void; of: number[]; zero?: string; id?: string; label: string; normal?: number }) {
  const { t } = useTranslation()
  const chosen = value ?? normal // what holds where nothing was said
  const every = [...new Set([...of, ...(chosen !== undefined ? [chosen] : [])])].sort((a, b) => a - b)
  const shown = (seconds: number): string => {
    const { n, unit } = span(seconds)
    return `${n} ${t(`unit.${unit}`)}`
  }
  return <Select id={id} aria-label={label} value={chosen} onChange={onChange} options={every.map((one) => ({ value: one, label: one === 0 && zero ? zero : shown(one) }))} />
}

const MINUTES = [60, 300, 600, 1800, 3600]

export function RuleRow({ place, kinds, connections, remove }: { place: number; kinds: RuleKind[]; connections: Connection[]; remove?: () => void }) {
  const { t } = useTranslation('alerts')
  const { t: common } = useTranslation()
  const say = useSay()
  const form = Form.useFormInstance<AlertValues>()
  const kind = Form.useWatch(['rules', place, 'kind'], form) as string | undefined
  const nature = kinds.find((one) => one.kind === kind)
  const label = (text: string): string => `${say(nature?.name)} ${text}`
  return (
    <div className="alert-row">
      <div className="alert-fields">
        <Form.Item name={[place, 'kind']} label={t('kind')}><Select showSearch={{ optionFilterProp: 'label' }} options={kinds.map((one) => ({ value: one.kind, label: say(one.name) }))} /></Form.Item>
        {nature && !nature.whole && (
          <Form.Item name={[place, 'connections']} label={t('connections')}>
            <Select mode="multiple" maxTagCount={1} allowClear placeholder={t('everyConnection')} options={connections.map((one) => ({ value: one.key, label: one.key }))} />
          </Form.Item>
        )}
        {nature && counts(nature) && <Form.Item name={[place, 'at_least']} label={t('atLeast')}><InputNumber min={1} max={1_000_000} precision={0} placeholder={String(nature.at_least)} style={{ width: '100%' }} /></Form.Item>}
        {nature?.growing && <Form.Item name={[place, 'within']} label={t('within')}><Times normal={nature?.within} label={label(t('within'))} of={[0, ...MINUTES, 86_400]} zero={t('anyAge')} /></Form.Item>}
        {kind === 'expiring' && <Form.Item name={[place, 'within']} label={t('before')}><Times normal={nature?.within} label={label(t('before'))} of={[1, 3, 7, 14, 30].map((n) => n * 86_400)} /></Form.Item>}
        {nature?.timed && <Form.Item name={[place, 'lasting']} label={t('tooLong')}><Times normal={nature?.lasting} label={label(t('tooLong'))} of={[300, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 259_200]} /></Form.Item>}
        {nature && nature.lasting > 0 && !nature.timed && <Form.Item name={[place, 'lasting']} label={t('lasting')}><Times normal={nature?.lasting} label={label(t('lasting'))} of={[0, 30, ...MINUTES]} /></Form.Item>}
        <Form.Item name={[place, 'always']} valuePropName="checked" label=" " colon={false}><Checkbox>{t('always')}</Checkbox></Form.Item>
      </div>
      {remove && <Button type="text" icon={<DeleteOutlined />} aria-label={`${common('remove')} ${say(nature?.name)}`} onClick={remove} />}
    </div>
  )
}

export function ChannelRow({ place, channels, remove }: { place: number; channels: Channel[]; remove?: () => void }) {
  const { t } = useTranslation('alerts')
  const { t: common } = useTranslation()
  const say = useSay()
  const form = Form.useFormInstance<AlertValues>()
  const chosen = Form.useWatch(['to', place, 'channel'], form) as string | undefined
  const channel = channels.find((one) => idOf(one) === chosen)
  const options = channels.map((one) => ({ value: idOf(one), label: `${one.connection} · ${say(one.label)}${one.state === 'enabled' ? '' : `（${t('notEnabled')}）`}` }))
  return (
    <div className="alert-row">
      <div className="alert-fields">
        <Form.Item name={[place, 'channel']} label={t('channel')} rules={[{ required: true, message: t('missing') }]}><Select showSearch={{ optionFilterProp: 'label' }} options={options} placeholder={t('channel')} /></Form.Item>
        {(channel?.recipients ?? false) && (
          <Form.Item name={[place, 'recipients']} label={t('recipients')} extra={t('recipientsHint')} rules={[{ required: true, type: 'array', min: 1, message: t('recipientsNeeded') }]}>
            <Select mode="tags" tokenSeparators={[',', '，', ' ', ';']} open={false} suffixIcon={null} />
          </Form.Item>
        )}
      </div>
      {remove && <Button type="text" icon={<DeleteOutlined />} aria-label={`${common('remove')} ${channel?.connection ?? t('channel')}`} onClick={remove} />}
    </div>
  )
}

export const idOf = (one: { connection: string; operation: string }): string => `${one.connection} ${one.operation}`
