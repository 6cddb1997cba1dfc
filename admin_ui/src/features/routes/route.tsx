/** One route, new or stored, as a sentence: when this changes and that holds, then do this, there. */
import { App, Alert, Button, Form } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate, useParams, useSearchParams } from 'react-router'
import { api, ask, Problem } from '@/api/client'
import { useSession } from '@/app/session'
import { useConnections, useConnectorsOf, useRoutes, type RouteDetail } from '@/data/catalogue'
import { useLanguage } from '@/i18n'
import { Loaded, Page, Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { Moved, useSettled, type Settled } from '@/kit/settled'
import { Flow } from './flow-strip'
import { Turn } from './routes'
import { RouteForm, type RouteValues } from './route-form'
import { suggestedKey, toRoute, toValues } from './route-values'
import { Trial } from './trial'

export default function RoutePage() {
  const { t } = useTranslation('routes')
  const { key = '' } = useParams()
  const [params] = useSearchParams()
  const fresh = key === 'new'
  const routes = useRoutes()
  const route = routes.data?.find((one) => one.key === key)
  return (
    <Page
      name={fresh ? t('new') : key}
      back={<Link className="back" to="/routes">‹ {t('back')}</Link>}
      title={fresh ? t('new') : route?.label || key}
      lead={!fresh && <code>{key}</code>}
      actions={route && <span className="row"><span className="dim">{route.enabled ? t('on') : t('offState')}</span><Turn route={route} /></span>}
    >
      <Loaded query={routes}>
        {(found) => {
          const more = { taken: found.map((one) => one.key), from: params.get('from') ?? undefined, to: params.get('to') ?? undefined }
          if (fresh) return <Editor {...more} />
          return route ? <Stored key={route.key} route={route} {...more} /> : <Trouble error={new Problem({ type: '', title: key, status: 404, code: 'not_found', trace_id: '' })} />
        }}
      </Loaded>
    </Page>
  )
}

interface Given {
  taken: string[]
  from?: string
  to?: string
}

function Stored({ route, ...more }: Given & { route: RouteDetail }) {
  const settled = useSettled(route)
  return <><Moved settled={settled} /><Editor key={settled.shown.etag} route={settled.shown} touch={settled.touch} {...more} /></>
}

function Editor({ route, taken, from, to, touch }: Given & { route?: RouteDetail; touch?: Settled<RouteDetail>['touch'] }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  const language = useLanguage()
  const { may } = useSession()
  const { modal } = App.useApp()
  const navigate = useNavigate()
  const [form] = Form.useForm<RouteValues>()
  const values = Form.useWatch([], form) as RouteValues | undefined
  const connections = useConnections()
  const connectors = useConnectorsOf((connections.data ?? []).map((one) => one.connector))
  const [fault, setFault] = useState<unknown>(null)
  const fixed = !may('editor')

  const save = useChange<{ values: RouteValues; enabled: boolean }, RouteDetail>(
    ({ values: given, enabled }) => {
      const body = toRoute(given, enabled, route)
      return route
        ? ask(api.PUT('/api/v1/routes/{key}', { params: { path: { key: route.key }, header: { 'if-match': route.etag } }, body }))
        : ask(api.POST('/api/v1/routes', { body }))
    },
    { stale: ['routes', 'overview'], quiet: true, done: common('saved'), then: (made) => { touch?.(false); if (!route) void navigate(`/routes/${made.key}`, { replace: true }) } },
  )
  const remove = useChange(() => ask(api.DELETE('/api/v1/routes/{key}', { params: { path: { key: route?.key ?? '' }, header: { 'if-match': route?.etag } } })), {
    stale: ['routes', 'overview'], done: common('removed'), then: () => void navigate('/routes'),
  })

  async function submit(enabled: boolean): Promise<void> {
    setFault(null)
    try {
      const given = await form.validateFields()
      await save.mutateAsync({ values: { ...form.getFieldsValue(true), ...given } as RouteValues, enabled })
    } catch (error) {
      if (error instanceof Problem) setFault(error)
    }
  }
  const draft = values?.from?.connection && values.from.entity && values.to?.[0]?.connection && values.to[0].operation ? toRoute({ ...values, key: values.key || 'draft' }, false, route) : null
  return (
    <>
    {values && <Flow values={values} />}
    <div className="split">
      <div>
        {(route?.warnings ?? []).length > 0 && <Alert type="warning" showIcon style={{ marginBottom: 16 }} title={t('warnings')} description={(route?.warnings ?? []).map((one) => (language === 'zh' ? one.zh : one.en)).join(' · ')} />}
        <RouteForm form={form} connections={connections.data ?? []} connectors={connectors} disabled={fixed} stored={Boolean(route)} initial={toValues(route, from, to)} suggest={(given) => suggestedKey(given, taken)} touched={() => touch?.(true)} />
        {fault instanceof Problem && <Faults problem={fault} />}
        {!fixed && (
          <div className="bar">
            {route ? <Button danger type="text" onClick={() => void modal.confirm({ title: t('removeSure', { key: route.key }), okText: common('remove'), okButtonProps: { danger: true }, onOk: () => remove.mutateAsync(undefined).catch(() => undefined) })}>{t('remove')}</Button> : <span />}
            <span className="row">
              {!route && <Button loading={save.isPending} onClick={() => void submit(false)}>{t('saveOff')}</Button>}
              <Button type="primary" loading={save.isPending} onClick={() => void submit(route ? (route.enabled ?? true) : true)}>{route ? t('save') : t('saveOn')}</Button>
            </span>
          </div>
        )}
      </div>
      {may('editor') && <Trial draft={draft} />}
    </div>
    </>
  )
}

function Faults({ problem }: { problem: Problem }) {
  return (
    <div className="stack" style={{ marginTop: 16 }}>
      <Trouble error={problem} />
      {(problem.body.errors ?? []).length > 3 && <ul>{problem.body.errors?.map((one, i) => <li key={i}>{one.detail} <code className="dim">{one.pointer}</code></li>)}</ul>}
    </div>
  )
}
