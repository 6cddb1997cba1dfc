/** A schedule: a comparison that is made again and again. */
import { Form, Input, InputNumber, Modal, Segmented, Select, Switch } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, ask } from '@/api/client'
import { Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { suggestedPlan, TIME, toPlan, toPlanValues, type Plan, type PlanValues } from './figures'
import { Ignored, Sides } from './sides'

export function PlanDialog({ plan, taken, close }: { plan?: Plan; taken: string[]; close: () => void }) {
  const { t } = useTranslation('reconciliations')
  const { t: common } = useTranslation()
  const [form] = Form.useForm<PlanValues>()
  const mode = Form.useWatch('mode', form)
  const save = useChange<PlanValues, Plan>(
    (values) => ask(api.PUT('/api/v1/reconciliations/schedules/{key}', { params: { path: { key: values.key } }, body: toPlan(values, plan) })),
    { stale: ['reconciliation-plans', 'reconciliations'], quiet: true, done: t('saved'), then: close },
  )
  function follow(changed: Partial<PlanValues>): void {
    if (plan || 'key' in changed || form.isFieldTouched('key')) return
    const key = suggestedPlan(form.getFieldsValue(true) as Partial<PlanValues>, taken)
    if (key) form.setFieldValue('key', key)
  }
  return (
    <Modal open title={plan ? `${t('edit')} · ${plan.label || plan.key}` : t('plan')} onCancel={close} okText={common('save')} cancelText={common('cancel')} okButtonProps={{ loading: save.isPending }} onOk={() => form.submit()} width={640}>
      <Form<PlanValues> form={form} layout="vertical" requiredMark={false} initialValues={toPlanValues(plan)} onValuesChange={follow} onFinish={(given) => save.mutate({ ...form.getFieldsValue(true) as PlanValues, ...given })}>
        <Sides />
        <Form.Item name="mode" label={t('how')}><Segmented options={[{ value: 'at', label: t('atTimes') }, { value: 'every', label: t('everyMode') }]} /></Form.Item>
        <div className="sentence-fields">
          {mode === 'every'
            ? <Duration name="every" label={t('how')} />
            : <Form.Item name="at" label={t('times')} extra={<span className="field-help">{t('timesHint')}</span>} rules={[{ validator: (_, value: string[]) => (value?.length && value.every((one) => TIME.test(one)) ? Promise.resolve() : Promise.reject(new Error(t('timeWrong')))) }]}><Select mode="tags" tokenSeparators={[',', '，', ' ']} open={false} suffixIcon={null} /></Form.Item>}
          <Duration name="window" label={t('back2')} />
        </div>
        <Ignored />
        <div className="sentence-fields">
          <Form.Item name="label" label={t('label')} extra={<span className="field-help">{t('labelHint')}</span>}><Input maxLength={120} /></Form.Item>
          <Form.Item name="key" label={t('key')} extra={<span className="field-help">{t('keyHint')}</span>} rules={[{ required: true, pattern: /^[a-z0-9][a-z0-9_-]{0,59}$/, message: t('keyHint') }]}><Input disabled={Boolean(plan)} className="mono" autoComplete="off" spellCheck={false} /></Form.Item>
        </div>
        <Form.Item name="enabled" label={t('enabled')} valuePropName="checked"><Switch /></Form.Item>
      </Form>
      {save.error && <Trouble error={save.error} />}
    </Modal>
  )
}

function Duration({ name, label }: { name: 'every' | 'window'; label: string }) {
  const { t } = useTranslation()
  return (
    <Form.Item label={label} htmlFor={`${name}_n`}>
      <div className="row">
        <Form.Item name={[name, 'n']} noStyle><InputNumber min={1} max={9999} aria-label={label} /></Form.Item>
        <Form.Item name={[name, 'unit']} noStyle><Select style={{ width: 100 }} aria-label={label} options={(['m', 'h', 'd'] as const).map((one) => ({ value: one, label: t(`unit.${one}`) }))} /></Form.Item>
      </div>
    </Form.Item>
  )
}
