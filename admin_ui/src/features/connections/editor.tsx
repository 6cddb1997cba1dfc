/** The form of a connection, new or stored: fields from the declaration, test before save, guide beside. */
import { Alert, Button, Form, Input } from 'antd'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { api, ask, Problem, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import type { Connection, Connector } from '@/data/catalogue'
import { useLanguage } from '@/i18n'
import { inLanguage, Markdown } from '@/kit/markdown'
import { Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { SchemaFields } from '@/kit/schema-form'
import { split, starting, type Values } from '@/lib/form-values'
import { authorises, leave } from './authorise'
import { Overlap, OVERLAP, replaces } from './overlap'
import { BeginWith, sandbox } from './sandbox'
import { TrialResult } from './trial'

const KEY = '~key'

export function Editor({ connector, connection, touch }: { connector: Connector; connection?: Connection; touch?: (dirty: boolean) => void }) {
  const { t } = useTranslation('connections')
  const { t: common } = useTranslation()
  const { may } = useSession()
  const navigate = useNavigate()
  const [form] = Form.useForm<Values>()
  const [cleared, setCleared] = useState<ReadonlySet<string>>(new Set())
  const [dirty, setDirty] = useState(false)
  const [fault, setFault] = useState<unknown>(null)
  const [invented, setInvented] = useState(false)
  const [overlap, setOverlap] = useState(OVERLAP)

  function refuse(error: unknown): void {
    setFault(error)
    if (!(error instanceof Problem)) return
    const faults = (error.body.errors ?? []).map((one) => ({ name: one.pointer === '/key' ? KEY : (one.pointer ?? '').replace(/^\/(config|secrets)\//, ''), errors: [one.detail] }))
    form.setFields(faults.filter((one) => one.name && (one.name === KEY || connector.fields.some((field) => field.key === one.name))))
  }

  async function given() {
    await form.validateFields()
    const values = form.getFieldsValue(true) as Values
    return { key: String(values[KEY] ?? connection?.key ?? ''), ...split(connector.fields, values, cleared) }
  }

  const trial = useChange<undefined, Schemas['TestResult']>(async () => {
    const { config, secrets } = await given()
    return ask(api.POST('/api/v1/trials/connection', { body: { connector: connector.id, config, secrets, key: connection?.key ?? null } }))
  }, { quiet: true })
  const values = Form.useWatch([], form) as Values | undefined
  const changing = replaces(connector, connection, values ?? {})
  const later = authorises(connector, values ?? {}) ? (connector.authorise?.fills ?? []) : []
  const save = useChange<{ enable: boolean; leave?: boolean }, Connection>(
    async ({ enable }) => {
      const { key, config, secrets } = await given()
      if (connection) return ask(api.PUT('/api/v1/connections/{key}', { params: { path: { key }, header: { 'if-match': connection.etag } }, body: { config, secrets, overlap_hours: changing ? overlap : 0 } }))
      const made = await ask(api.POST('/api/v1/connections', { body: { key, connector: connector.id, config, secrets, enable } }))
      return invented ? sandbox(key, true) : made
    },
    {
      stale: ['connections', 'overview'],
      quiet: true,
      done: common('saved'),
      then: (made, how) => {
        setDirty(false)
        touch?.(false)
        setCleared(new Set())
        setOverlap(OVERLAP)
        setFault(null)
        form.setFieldsValue(Object.fromEntries(connector.fields.filter((one) => one.secret).map((one) => [one.key, undefined])))
        if (!connection) void navigate(`/connections/${made.key}`, { state: { fresh: !how.leave } })
        if (how.leave) void leave(made.key).catch(refuse)
      },
    },
  )

  const attempt = (work: Promise<unknown>): void => {
    setFault(null)
    work.catch(refuse)
  }
  const fixed = !may('editor')
  return (
    <div className="split">
      <div>
        <section className="panel">
          <Form form={form} layout="vertical" scrollToFirstError={{ block: 'center', behavior: 'smooth' }} disabled={fixed} onValuesChange={() => { setDirty(true); touch?.(true) }}
            initialValues={{ ...starting(connector.fields, connection?.config ?? {}), [KEY]: connection?.key }}>
            {!connection && (
              <Form.Item name={KEY} label={t('key')} extra={<span className="field-help">{t('keyHelp')}</span>} validateTrigger="onBlur"
                rules={[{ required: true, message: `${t('key')}：${common('required')}` }, { pattern: /^[a-z0-9][a-z0-9_-]{0,59}$/, message: t('keyBad') }]}>
                <Input autoComplete="off" spellCheck={false} autoFocus placeholder={`${connector.id}-main`} />
              </Form.Item>
            )}
            {!connection && connector.sandbox && <BeginWith on={invented} set={setInvented} />}
            {!invented && <SchemaFields form={form} later={later} fields={connector.fields} stored={connection?.secrets ?? []} references={connection?.references} cleared={cleared} clear={(keys) => { setCleared(keys); setDirty(true); touch?.(true) }} disabled={fixed} />}
          </Form>
          {changing && <Overlap hours={overlap} set={setOverlap} />}
          {!invented && <p className="dim">{t('secretNote')}</p>}
          {trial.isPending && <Alert type="info" showIcon title={t('testing')} />}
          {trial.data && !trial.isPending && <TrialResult result={trial.data} />}
          {fault instanceof Problem && <Trouble error={fault} />}
        </section>
        {!fixed && (
          <div className="bar">
            {invented ? <span /> : <Button onClick={() => attempt(trial.mutateAsync(undefined))} loading={trial.isPending}>{t('test')}</Button>}
            <span className="row">
              {invented ? (
                <Button type="primary" loading={save.isPending} onClick={() => attempt(save.mutateAsync({ enable: false }))}>{t('sandboxCreate')}</Button>
              ) : connection ? (
                <>{dirty && <span className="dim">{t('changed')}</span>}<Button type="primary" disabled={!dirty} loading={save.isPending} onClick={() => attempt(save.mutateAsync({ enable: false }))}>{common('save')}</Button></>
              ) : (
                <>
                  <Button loading={save.isPending} onClick={() => attempt(save.mutateAsync({ enable: false }))}>{t('saveOnly')}</Button>
                  {later.length > 0 && <Button loading={save.isPending} onClick={() => attempt(save.mutateAsync({ enable: true }))}>{t('saveEnable')}</Button>}
                  {later.length > 0
                    ? <Button type="primary" loading={save.isPending} onClick={() => attempt(save.mutateAsync({ enable: false, leave: true }))}>{t('saveAuthorise')}</Button>
                    : <Button type="primary" loading={save.isPending} onClick={() => attempt(save.mutateAsync({ enable: true }))}>{t('saveEnable')}</Button>}
                </>
              )}
            </span>
          </div>
        )}
      </div>
      <Guide connector={connector} />
    </div>
  )
}

export function Guide({ connector, head }: { connector: Connector; head?: ReactNode }) {
  const { t } = useTranslation('connections')
  const language = useLanguage()
  return (
    <aside className="panel sticky" aria-label={t('guide')} tabIndex={0}>
      {head}
      <h2>{t('guide')}<a href={connector.docs_url} target="_blank" rel="noreferrer noopener"><small>{t('docs')} ↗</small></a></h2>
      <Markdown text={inLanguage(connector.readme, language).replace(/^# .*\n/, '').replace(/^## (中文|English)\s*$/m, '')} />
      {connector.unconfirmed.length > 0 && <details><summary>{t('unconfirmed')} ({connector.unconfirmed.length})</summary><ul>{connector.unconfirmed.map((one) => <li key={one}>{one}</li>)}</ul></details>}
    </aside>
  )
}
