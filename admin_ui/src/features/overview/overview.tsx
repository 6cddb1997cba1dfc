/** The first page: the balance in public, the picture, and what needs a person. */
import { CheckCircleFilled, CoffeeOutlined, ExclamationCircleFilled, ExperimentOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Table, Tooltip } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useLive } from '@/app/live'
import { PAGES } from '@/app/pages'
import { useSession } from '@/app/session'
import { useSay } from '@/i18n'
import { Ago, Num, Spark, useEntity } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'
import '@/style/sandbox.css'
import { FirstSteps } from './first-steps'
import { Picture } from './picture'

type Overview = Schemas['Overview']
type Balance = Schemas['Balance']

export default function OverviewPage() {
  const { t } = useTranslation('overview')
  const query = useQuery({ queryKey: ['overview'], queryFn: () => ask(api.GET('/api/v1/overview')), refetchInterval: 15_000 })
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Loaded query={query} rows={10}>{(found) => <Content found={found} />}</Loaded>
    </Page>
  )
}

function Content({ found }: { found: Overview }) {
  const { t } = useTranslation('overview')
  const { may } = useSession()
  const live = useLive()
  const invented = found.nodes.filter((one) => one.sandbox).length
  if (found.nodes.length === 0) {
    return (
      <div className="stack">
        {may('editor') && <FirstSteps found={found} />}
        <div className="panel">
          <Nothing title={t('emptyTitle')} hint={t('emptyHint')}>
            {may('editor') && <Link to="/connections/new"><Button type="primary" size="large">{t('emptyAct')}</Button></Link>}
          </Nothing>
        </div>
      </div>
    )
  }
  return (
    <div className="stack">
      {may('editor') && <FirstSteps found={found} />}
      <Ledger balance={live.balance ?? found.balance} today={found.today} series={found.series} />
      {invented > 0 && <Alert type="warning" showIcon icon={<ExperimentOutlined />} title={t('invented', { n: invented })} action={<Link to="/connections">{t('inventedSee')}</Link>} />}
      <div className="overview-middle">
        <section className="panel" aria-labelledby="picture-title">
          <h2 id="picture-title">{t('picture')}<small>{t('pictureHint')}</small></h2>
          <Picture nodes={found.nodes} edges={found.edges} />
        </section>
        <Todos todo={found.todo} />
      </div>
      <Flows edges={found.edges} />
    </div>
  )
}

const PARTS = [['delivered', 'explainDelivered'], ['duplicate', 'explainDuplicate'], ['filtered', 'explainFiltered'], ['dead', 'explainDead'], ['in_flight', 'explainInFlight']] as const

function Ledger({ balance, today, series }: { balance: Balance; today: Balance; series: number[] }) {
  const { t } = useTranslation('overview')
  const even = balance.difference === 0
  return (
    <section className="panel ledger" aria-labelledby="ledger-title">
      <h2 id="ledger-title"><span>{t('ledger')} <small>{t('today')}</small></span>
        <span className={even ? 'verdict tone-good' : 'verdict tone-bad'}>{even ? <CheckCircleFilled /> : <ExclamationCircleFilled />} {even ? t('balanced') : t('off', { n: balance.difference })}</span>
      </h2>
      <div className="equation">
        <div className="term term-all"><b><Num of={today.received} /></b><span>{t('received')}</span></div>
        {PARTS.map(([name, why], i) => (
          <Tooltip key={name} title={t(why)}>
            <div className={`term term-${name}${today[name] === 0 ? ' zero' : ''}`}>
              <i aria-hidden="true">{i === 0 ? '=' : '+'}</i><b><Num of={today[name]} /></b><span>{t(name)}</span>
            </div>
          </Tooltip>
        ))}
        <div className="term-spark"><Spark of={series} label={t('intake')} wide={190} high={46} /><span className="dim">{t('intake')}</span></div>
      </div>
      <p className="dim all-time" aria-label={t('allTime')}>
        <strong>{t('allTime')}</strong> {t('received')} <Num of={balance.received} />
        {PARTS.map(([name], i) => <span key={name}> {i === 0 ? '=' : '+'} {t(name)} <Num of={balance[name]} /></span>)}
      </p>
    </section>
  )
}

/** Where things that need a person are looked at; what is not named here are failures. */
const WHERE: Record<string, string> = { difference: '/settings?view=checks', channel: '/alerts', conflicts: PAGES.some((one) => one.path === '/conflicts') ? '/conflicts' : '/links' }

function Todos({ todo }: { todo: Overview['todo'] }) {
  const { t } = useTranslation('overview')
  const say = useSay()
  const [all, setAll] = useState(false)
  const shown = all ? todo : todo.slice(0, 6)
  const to = (one: Schemas['Todo']): string =>
    ['needs_auth', 'paused', 'expiring', 'breaker'].includes(one.kind) ? `/connections/${one.to}` : (WHERE[one.kind] ?? '/failures')
  return (
    <section className="panel todos" aria-labelledby="todo-title">
      <h2 id="todo-title">{t('todo')}{todo.length > 0 && <small className="tally">{todo.length}</small>}</h2>
      {todo.length === 0 ? (
        <div className="calm"><CoffeeOutlined /><strong>{t('todoNone')}</strong><span className="dim">{t('todoNoneHint')}</span></div>
      ) : (
        <ul>
          {shown.map((one, i) => (
            <li key={i} className={`todo todo-${one.kind}`}>
              <div><strong>{t(`kind.${one.kind as 'parked'}`, { n: one.count })}</strong> <span className="mono dim">{one.to}</span>{say(one.words) && <p>{say(one.words)}</p>}</div>
              <Link to={to(one)}>{t(`act.${one.kind as 'parked'}`)}</Link>
            </li>
          ))}
        </ul>
      )}
      {todo.length > shown.length && <Button type="link" onClick={() => setAll(true)}>{t('moreDone', { n: todo.length - shown.length })}</Button>}
    </section>
  )
}

function Flows({ edges }: { edges: Schemas['Edge'][] }) {
  const { t } = useTranslation('overview')
  const { may } = useSession()
  const entity = useEntity()
  if (edges.length === 0) {
    return (
      <div className="panel">
        <Nothing title={t('emptyRoutes')} hint={t('emptyRoutesHint')} art={false}>
          {may('editor') && <Link to="/routes/recipes"><Button type="primary">{t('emptyRoutesAct')}</Button></Link>}
        </Nothing>
      </div>
    )
  }
  return (
    <section className="panel panel-table" aria-label={t('flows')}>
      <Table
        dataSource={edges}
        rowKey={(one) => `${one.route}/${one.target}/${one.operation}`}
        pagination={edges.length > 20 ? { pageSize: 20, showSizeChanger: false } : false}
        scroll={{ x: 880 }}
        columns={[
          {
            title: t('route'), key: 'route',
            render: (_, one) => <span className="row"><i className={`lamp health-${one.health}`} role="img" aria-label={t(`health.${one.health as 'good'}`)} /><Link to={`/routes/${one.route}`}>{one.label || one.route}</Link></span>,
          },
          { title: t('path'), key: 'path', render: (_, one) => <span className="dim">{one.source} · {entity(one.entity)} → {one.target}</span> },
          { title: t('hour'), key: 'series', render: (_, one) => <Spark of={one.series} label={`${t('hour')}: ${one.series.reduce((a, b) => a + b, 0)}`} tone={one.health === 'bad' ? 'bad' : 'good'} /> },
          { title: t('rate'), dataIndex: 'per_minute', align: 'right', render: (n: number) => <Num of={n} /> },
          { title: t('waiting'), dataIndex: 'waiting', align: 'right', render: (n: number) => (n ? <Num of={n} /> : <span className="dim">0</span>) },
          { title: t('stuck'), key: 'stuck', align: 'right', render: (_, one) => (one.parked + one.dead ? <Link to={`/failures?route=${one.route}`} className="tone-bad"><Num of={one.parked + one.dead} /></Link> : <span className="dim">0</span>) },
          { title: t('last'), dataIndex: 'last_at', render: (at: string | null) => <Ago iso={at} /> },
        ]}
      />
    </section>
  )
}
