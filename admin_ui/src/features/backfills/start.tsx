/** An import as a form: of which source, from when, how fast. */
import { DatePicker, Form, InputNumber, Modal, Select } from 'antd'
import dayjs, { type Dayjs } from 'dayjs'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { useConnections, useConnectorsOf } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'

interface Values {
  connection?: string
  source?: string
  since?: Dayjs
  until?: Dayjs | null
  budget: number
}

export function Start({ offer, close }: { offer?: Schemas['BackfillOffer']; close: () => void }) {
  const { t } = useTranslation('backfills')
  const { t: common } = useTranslation()
  const say = useSay()
  const [form] = Form.useForm<Values>()
  const key = Form.useWatch('connection', form)
  const connections = (useConnections().data ?? []).filter((one) => one.state !== 'disabled')
  const connectors = useConnectorsOf(connections.map((one) => one.connector))
  const sources = (connectors.get(connections.find((one) => one.key === key)?.connector ?? '')?.doors ?? []).filter((one) => one.door === 'poll')
  const start = useChange<Values, Schemas['Backfill']>(
    (values) => ask(api.POST('/api/v1/backfills', { body: {
      connection: values.connection ?? '', source: values.source ?? null, since: values.since?.startOf('day').toISOString() ?? '', until: values.until ? values.until.endOf('day').toISOString() : null, budget: values.budget, first: Boolean(offer),
    } })),
    { stale: ['backfills', 'backfill-offers'], quiet: true, done: t('started'), then: close },
  )
  const needed = [{ required: true, message: t('choose') }]
  return (
    <Modal open title={t('start')} onCancel={close} okText={t('go')} cancelText={common('cancel')} okButtonProps={{ loading: start.isPending }} onOk={() => form.submit()}>
      <Form<Values> form={form} layout="vertical" requiredMark={false} initialValues={{ connection: offer?.connection, source: offer?.source, since: dayjs().subtract(90, 'day'), budget: 20 }}
        onValuesChange={(changed: Partial<Values>) => { if ('connection' in changed) form.setFieldValue('source', undefined) }} onFinish={(given) => start.mutate(given)}>
        <Form.Item name="connection" label={t('connection')} rules={needed}><Select showSearch disabled={Boolean(offer)} placeholder={t('choose')} options={connections.map((one) => ({ value: one.key, label: `${one.key} ${say(connectors.get(one.connector)?.label)}` }))} /></Form.Item>
        <Form.Item name="source" label={t('source')} rules={needed} help={key && connectors.size > 0 && sources.length === 0 ? t('noSource') : undefined}><Select disabled={Boolean(offer)} placeholder={t('choose')} options={sources.map((one) => ({ value: one.name, label: say(one.label) }))} /></Form.Item>
        <div className="sentence-fields">
          <Form.Item name="since" label={t('since')} rules={needed}><DatePicker style={{ width: '100%' }} maxDate={dayjs()} allowClear={false} /></Form.Item>
          <Form.Item name="until" label={t('until')} extra={<span className="field-help">{t('untilHint')}</span>}><DatePicker style={{ width: '100%' }} maxDate={dayjs()} /></Form.Item>
        </div>
        <Form.Item name="budget" label={t('budget')} extra={<span className="field-help">{t('budgetHint')}</span>} rules={needed}><InputNumber min={1} max={1000} suffix={t('budgetUnit')} style={{ width: 180 }} /></Form.Item>
      </Form>
      {start.error && <Trouble error={start.error} />}
    </Modal>
  )
}
