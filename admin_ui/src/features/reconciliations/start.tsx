/** A comparison made once: what with what, over which time. */
import { DatePicker, Form, InputNumber, Modal, Segmented } from 'antd'
import dayjs, { type Dayjs } from 'dayjs'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, ask } from '@/api/client'
import { Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { toStart, type Asked, type Run } from './figures'
import { Ignored, Sides } from './sides'

type Values = Omit<Asked, 'range'> & { range?: [Dayjs, Dayjs] }

export function Start({ close }: { close: () => void }) {
  const { t } = useTranslation('reconciliations')
  const { t: common } = useTranslation()
  const navigate = useNavigate()
  const [form] = Form.useForm<Values>()
  const [more, setMore] = useState(false)
  const span = Form.useWatch('span', form)
  const start = useChange<Values, Run>(
    ({ range, ...asked }) => ask(api.POST('/api/v1/reconciliations', { body: toStart({ ...asked, range: range && [range[0].toISOString(), range[1].toISOString()] }) })),
    { stale: ['reconciliations'], quiet: true, done: t('started'), then: (made) => void navigate(`/reconciliations/${made.id}`) },
  )
  return (
    <Modal open title={t('start')} onCancel={close} okText={t('go')} cancelText={common('cancel')} okButtonProps={{ loading: start.isPending }} onOk={() => form.submit()} width={620}>
      <Form<Values> form={form} layout="vertical" requiredMark={false} initialValues={{ span: 'day', ignore: [], grace: 60 }} onFinish={(given) => start.mutate({ ...form.getFieldsValue(true) as Values, ...given })}>
        <Sides />
        <Form.Item name="span" label={t('window')} extra={<span className="field-help">{t('windowHint')}</span>}>
          <Segmented options={[{ value: 'day', label: t('last24') }, { value: 'week', label: t('last7') }, { value: 'month', label: t('last30') }, { value: 'custom', label: t('custom') }]} />
        </Form.Item>
        {span === 'custom' && (
          <Form.Item name="range" rules={[{ required: true, message: t('choose') }]}>
            <DatePicker.RangePicker showTime={{ format: 'HH:mm' }} format="YYYY-MM-DD HH:mm" placeholder={[t('from'), t('until')]} maxDate={dayjs()} aria-label={t('window')} style={{ width: '100%' }} />
          </Form.Item>
        )}
        <button type="button" className="fold-button" aria-expanded={more} onClick={() => setMore(!more)}><span aria-hidden="true" className={more ? 'fold open' : 'fold'}>▸</span>{t('more')}</button>
        {more && <Ignored />}
        {more && <Form.Item name="grace" label={t('grace')} extra={<span className="field-help">{t('graceHint')}</span>}><InputNumber min={0} max={86_400} suffix={common('unit.s')} style={{ width: 160 }} /></Form.Item>}
      </Form>
      {start.error && <Trouble error={start.error} />}
    </Modal>
  )
}
