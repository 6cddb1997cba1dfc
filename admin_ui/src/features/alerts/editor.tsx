/** Making or changing an alert: what matters, who is told, when; with a test that is really sent. */
import { PlusOutlined, SendOutlined } from '@ant-design/icons'
import { Alert as Note, App, Button, Drawer, Form, Input, Select, Switch } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useConnections } from '@/data/catalogue'
import { useLanguage, useSay } from '@/i18n'
import { useChange } from '@/kit/query'
import { ChannelRow, RuleRow, Times, type Channel } from './fields'
import { alertOf, DAYS, values, type Alert, type AlertValues, type RuleKind } from './values'

interface Props { alert: Alert | null; keys: string[]; kinds: RuleKind[]; channels: Channel[]; close: () => void }

export function Editor({ alert, keys, kinds, channels, close }: Props) {
  const { t } = useTranslation('alerts')
  const { t: common } = useTranslation()
  const { modal } = App.useApp()
  const language = useLanguage()
  const connections = useConnections()
  const [form] = Form.useForm<AlertValues>()
  const limited = Form.useWatch('limited', form) as boolean | undefined
  const known = new Map(kinds.map((one) => [one.kind as string, one]))
  const given = (all: AlertValues): Schemas['Alert-Input'] => alertOf(all, known, alert)
  const save = useChange((body: Schemas['Alert-Input']) => ask(api.PUT('/api/v1/alerts/{key}', { params: { path: { key: body.key } }, body })), { stale: ['alerts', 'alarms'], done: common('saved'), then: close })
  const remove = useChange((key: string) => ask(api.DELETE('/api/v1/alerts/{key}', { params: { path: { key } } })), { stale: ['alerts', 'alarms'], done: common('removed'), then: close })
  const trial = useChange((body: Schemas['Alert-Input']) => ask(api.POST('/api/v1/alerts/trial', { body })), { stale: ['notices'] })
  const test = (): void => void form.validateFields().then(() => trial.mutate(given(form.getFieldsValue(true) as AlertValues))).catch(() => undefined)
  return (
    <Drawer
      open onClose={close} size={760} title={alert ? t('edit') : t('create')}
      extra={<span className="row"><Button icon={<SendOutlined />} loading={trial.isPending} onClick={test} disabled={channels.length === 0}>{t('test')}</Button><Button type="primary" loading={save.isPending} onClick={() => form.submit()} disabled={channels.length === 0}>{common('save')}</Button></span>}
    >
      {trial.data && <Outcome results={trial.data.results} />}
      <Form<AlertValues> form={form} layout="vertical" requiredMark={false} initialValues={values(alert, language, keys)} onFinish={() => save.mutate(given(form.getFieldsValue(true) as AlertValues))}>
        <div className="alert-fields">
          <Form.Item name="label" label={t('name')} extra={t('nameHint')}><Input maxLength={120} autoComplete="off" /></Form.Item>
          <Form.Item name="key" label={t('key')} rules={[{ required: true, pattern: /^[a-z0-9][a-z0-9_-]{0,59}$/, message: t('keyBad') }]}><Input disabled={Boolean(alert)} autoComplete="off" /></Form.Item>
        </div>
        <section>
          <h2 className="form-part">{t('what')}</h2>
          <Form.List name="rules">
            {(rows, { add, remove: drop }) => (
              <>
                {rows.map((row) => <RuleRow key={row.key} place={row.name} kinds={kinds} connections={connections.data ?? []} remove={rows.length > 1 ? () => drop(row.name) : undefined} />)}
                <Button icon={<PlusOutlined />} onClick={() => add({ kind: kinds.find((one) => !(form.getFieldValue('rules') as AlertValues['rules']).some((there) => there.kind === one.kind))?.kind ?? 'dead' })}>{t('addRule')}</Button>
              </>
            )}
          </Form.List>
        </section>
        <section>
          <h2 className="form-part">{t('who')}</h2>
          {channels.length === 0 ? (
            <Note type="info" showIcon title={t('channelsNone')} description={t('channelsNoneHint')} action={<Link to="/connections/new"><Button size="small">{t('connect')}</Button></Link>} />
          ) : (
            <Form.List name="to">
              {(rows, { add, remove: drop }) => (
                <>
                  {rows.map((row) => <ChannelRow key={row.key} place={row.name} channels={channels} remove={rows.length > 1 ? () => drop(row.name) : undefined} />)}
                  {rows.length < 10 && <Button icon={<PlusOutlined />} onClick={() => add({})}>{t('addChannel')}</Button>}
                </>
              )}
            </Form.List>
          )}
        </section>
        <section>
          <h2 className="form-part">{t('when')}</h2>
          <div className="alert-fields">
            <Form.Item name="repeat" label={t('repeat')}><Times label={t('repeat')} of={[0, 1800, 3600, 14_400, 43_200, 86_400]} zero={t('never')} /></Form.Item>
            <Form.Item name="gather" label={t('gather')}><Times label={t('gather')} of={[0, 60, 300, 900, 1800]} /></Form.Item>
            <Form.Item name="language" label={t('language')}><Select options={[{ value: 'zh', label: '中文' }, { value: 'en', label: 'English' }]} /></Form.Item>
          </div>
          <div className="alert-switches">
            <Form.Item name="resolved" label={t('resolved')} valuePropName="checked"><Switch /></Form.Item>
            <Form.Item name="limited" label={t('hours')} valuePropName="checked" extra={t('hoursHint')}><Switch /></Form.Item>
            <Form.Item name="enabled" label={t('enabled')} valuePropName="checked"><Switch /></Form.Item>
          </div>
          <div className="alert-fields" hidden={!limited}>
            <Form.Item name="from" label={t('from')}><Input type="time" /></Form.Item>
            <Form.Item name="until" label={t('to')}><Input type="time" /></Form.Item>
            <Form.Item name="days" label={t('days')} rules={[{ required: true, type: 'array', min: 1, message: t('missing') }]}><Select mode="multiple" options={DAYS.map((one) => ({ value: one, label: t(`day.${one}`) }))} /></Form.Item>
          </div>
        </section>
      </Form>
      {alert && <Button danger type="text" onClick={() => void modal.confirm({ title: t('sure', { name: alert.label ?? alert.key }), content: t('sureHint'), okButtonProps: { danger: true }, okText: common('remove'), onOk: () => remove.mutateAsync(alert.key).catch(() => undefined) })}>{common('remove')}</Button>}
    </Drawer>
  )
}

function Outcome({ results }: { results: Schemas['Tried'][] }) {
  const { t } = useTranslation('alerts')
  const say = useSay()
  return (
    <div className="stack-tight alert-outcome" role="status">
      {results.map((one) => <Note key={`${one.connection} ${one.operation}`} type={one.ok ? 'success' : 'error'} showIcon title={t(one.ok ? 'testGood' : 'testBad', { channel: one.connection })} description={one.words ? say(one.words) : undefined} />)}
    </div>
  )
}
