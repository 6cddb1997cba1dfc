/** What waits for its hour, in words of the business; cancelling one, or sending it now. */
import '@/style/data.css'
import { SendOutlined } from '@ant-design/icons'
import { Button, Popconfirm, Segmented, Select, Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useConnections, useConnectorsOf, useRoutes, type RouteDetail } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { At, Entity, useEntity } from '@/kit/bits'
import { List } from '@/kit/list'
import { Nothing, Page } from '@/kit/page'
import { useChange, usePaged } from '@/kit/query'
import { full, wait } from '@/lib/time'

type Timer = Schemas['Timer']
type State = Timer['state']
/** Milliseconds: what was due may have gone meanwhile. */
const EVERY = 4000

export default function TimersPage() {
  const { t } = useTranslation('timers')
  const { may } = useSession()
  const [params, setParams] = useSearchParams()
  const state = (['fired', 'cancelled', 'all'].includes(params.get('state') ?? '') ? params.get('state') : 'waiting') as State | 'all'
  const route = params.get('route') ?? undefined
  const routes = useRoutes().data ?? []
  const connections = useConnections().data ?? []
  const connectors = useConnectorsOf(connections.map((one) => one.connector))
  const say = useSay()
  const pages = usePaged<Timer>(['timers', state, route], (cursor) => ask(api.GET('/api/v1/timers', { params: { query: { state: state === 'all' ? undefined : state, route, limit: 30, cursor } } })), () => EVERY)
  const set = (name: string, value: string | undefined): void => {
    const next = new URLSearchParams(params)
    if (value) next.set(name, value)
    else next.delete(name)
    setParams(next, { replace: true })
  }
  const does = (one: Timer): string => {
    const kind = connectors.get(connections.find((each) => each.key === one.connection)?.connector ?? '')
    return say(kind?.operations.find((each) => each.name === one.operation)?.label) || one.operation
  }
  const timed = routes.filter((one) => Number(one.after ?? 0) > 0 || one.hours || (one.unless ?? []).length > 0 || route === one.key)
  return (
    <Page title={t('title')} lead={t('lead')}>
      <search className="filters">
        <Segmented value={state} onChange={(value) => set('state', value === 'waiting' ? undefined : value)} options={[...(['waiting', 'fired', 'cancelled'] as const).map((one) => ({ value: one as State | 'all', label: t(`state.${one}`) })), { value: 'all' as const, label: t('all') }]} />
        <Select allowClear style={{ minWidth: 220 }} placeholder={t('route')} aria-label={t('route')} value={route} onChange={(value?: string) => set('route', value)} options={timed.map((one) => ({ value: one.key, label: one.label || one.key }))} />
      </search>
      <List<Timer>
        pages={pages} label={t('title')} rowKey={(one) => one.id}
        empty={state === 'waiting' ? <Nothing title={t('none')} hint={t('noneHint')} /> : <Nothing title={t('noneOther')} />}
        columns={[
          { title: t('when'), key: 'when', width: 190, render: (_, one) => <When timer={one} /> },
          { title: t('about'), key: 'about', width: 200, render: (_, one) => <span className="stacked"><span className="row"><Entity of={one.entity} /><Link className="mono" to={`/events/${one.event_id}`}>{one.number ?? one.record}</Link></span><span className="dim">{one.source}</span></span> },
          { title: t('what'), key: 'what', render: (_, one) => <What timer={one} does={does(one)} route={routes.find((each) => each.key === one.route)} /> },
          ...(may('operator') ? [{ title: '', key: 'acts', width: 190, align: 'right' as const, render: (_: unknown, one: Timer) => one.state === 'waiting' && <Acts timer={one} /> }] : []),
        ]}
      />
    </Page>
  )
}

function When({ timer }: { timer: Timer }) {
  const { t } = useTranslation('timers')
  const { t: common } = useTranslation()
  if (timer.state !== 'waiting') return <span className="stacked"><span className={`state tone-${timer.state === 'fired' ? 'good' : 'off'}`}><i />{t(`state.${timer.state}`)}</span><span className="dim"><At iso={timer.ended_at ?? timer.due_at} /></span></span>
  if (!timer.due_at) return <span className="state tone-busy"><i />{t('after')}</span>
  const left = (new Date(timer.due_at).getTime() - Date.now()) / 1000
  const words = wait(left).map(({ n, unit }) => `${n} ${common(`unit.${unit}`)}`).join(' ')
  return <span className="stacked"><Tooltip title={full(timer.due_at)}><strong className="num" tabIndex={0}><At iso={timer.due_at} /></strong></Tooltip><span className="dim">{left <= 0 ? t('late') : t('waits', { time: words })}</span></span>
}

function What({ timer, does, route }: { timer: Timer; does: string; route: RouteDetail | undefined }) {
  const { t } = useTranslation('timers')
  const entity = useEntity()
  const unless = (route?.unless ?? []).map((one) => t(one.when ? 'unlessWhen' : 'unlessOne', { where: one.connection ?? t('anywhere'), entity: entity(one.entity).toLowerCase() }))
  const reason = timer.reason
  return (
    <span className="stacked">
      <span>{t('does', { connection: timer.connection, operation: does })}</span>
      <span className="dim">{t('by')} <Link to={`/routes/${timer.route}`}>{route?.label || timer.route}</Link></span>
      {timer.state === 'waiting' && unless.length > 0 && <span className="dim">{t('unless', { what: unless.join(t('or')) })}</span>}
      {timer.state === 'waiting' && (reason === 'quiet_hours' || reason === 'quota') && <span className="tag tag-warn">{t(`held.${reason}`)}</span>}
      {timer.state === 'cancelled' && <span className="dim">{t(`ended.${reason === 'by_person' ? 'by_person' : reason === 'cancelled' ? 'cancelled' : 'other'}`)}{timer.cancelled_by && <> · <Link to={`/events/${timer.cancelled_by}`}>{t('cancelEvent', { id: timer.cancelled_by })}</Link></>}</span>}
    </span>
  )
}

function Acts({ timer }: { timer: Timer }) {
  const { t } = useTranslation('timers')
  const path = { params: { path: { id: timer.id } } }
  const stale = ['timers', 'overview', 'customer', 'timeline']
  const cancel = useChange(() => ask(api.POST('/api/v1/timers/{id}/cancel', path)), { stale, done: t('cancelled') })
  const fire = useChange(() => ask(api.POST('/api/v1/timers/{id}/fire', path)), { stale, done: t('fired') })
  const name = timer.number ?? timer.record
  return (
    <span className="row acts">
      <Popconfirm title={t('cancel')} description={t('cancelSure')} onConfirm={() => cancel.mutate(undefined)}><Button size="small" loading={cancel.isPending} aria-label={`${t('cancel')} ${name}`}>{t('cancel')}</Button></Popconfirm>
      <Popconfirm title={t('fire')} description={t('fireSure')} onConfirm={() => fire.mutate(undefined)} styles={{ root: { maxWidth: 340 } }}><Button size="small" type="primary" ghost icon={<SendOutlined />} loading={fire.isPending} aria-label={`${t('fire')} ${name}`}>{t('fire')}</Button></Popconfirm>
    </span>
  )
}
