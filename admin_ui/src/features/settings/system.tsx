/** What an owner looks after: backups, the keys that seal credentials, and how this installation was set up. */
import { useQuery } from '@tanstack/react-query'
import { Alert, App, Button, Progress } from 'antd'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { useSay } from '@/i18n'
import { Ago, At, Copyable, Fact, Num } from '@/kit/bits'
import { Loaded } from '@/kit/page'
import { useChange } from '@/kit/query'
import { progress, size } from './keeping'

const WEEK = 7 * 86_400_000
/** Milliseconds between two looks at something that is under way. */
const SOON = 2000

export function Backups() {
  const { t } = useTranslation('settings')
  const found = useQuery({ queryKey: ['backups'], queryFn: () => ask(api.GET('/api/v1/backups')), refetchInterval: (query) => (query.state.data?.running ? SOON : false) })
  return (
    <section className="panel" aria-labelledby="backup-title">
      <h2 id="backup-title">{t('backup')}</h2>
      <p className="dim">{t('backupHint')}</p>
      <Loaded query={found} rows={3}>{(told) => <LastBackup told={told} />}</Loaded>
    </section>
  )
}

function LastBackup({ told }: { told: Schemas['Backups'] }) {
  const { t } = useTranslation('settings')
  const say = useSay()
  const take = useChange(() => ask(api.POST('/api/v1/backups')), { stale: ['backups', 'audit'], then: () => undefined })
  const { last } = told
  const old = last !== null && last !== undefined && Date.now() - new Date(last.at).getTime() > WEEK
  return (
    <div className="stack-tight">
      {told.failed && <Alert type="error" showIcon title={t('backupFailed')} description={say(told.failed)} />}
      {!last && !told.running && <Alert type="warning" showIcon title={t('backupNone')} />}
      {old && !told.running && <Alert type="warning" showIcon title={t('backupOld')} />}
      {last && (
        <dl className="facts">
          <Fact name={t('backupLast')}><Ago iso={last.at} /> <span className="dim">· <At iso={last.at} /></span></Fact>
          <Fact name={t('backupSize')}>{size(last.size)}</Fact>
          <Fact name={t('backupFile')}><Copyable text={last.file} label={t('backupFile')} /></Fact>
        </dl>
      )}
      <div><Button type={last && !old ? 'default' : 'primary'} loading={take.isPending || told.running} onClick={() => take.mutate(undefined)}>{told.running ? t('backupRunning') : t('backupNow')}</Button></div>
      <details><summary>{t('backupDaily')}</summary>
        <p>{t('backupCron')}</p><Copyable text="./shuniu backup" label={t('backupDaily')} />
        <p>{t('backupRestore')}</p><Copyable text="./shuniu restore FILE" label={t('backupRestore')} />
      </details>
      <p className="dim">{t('backupKey')}</p>
    </div>
  )
}

export function Keys() {
  const { t } = useTranslation('settings')
  const { modal } = App.useApp()
  const found = useQuery({ queryKey: ['keys'], queryFn: () => ask(api.GET('/api/v1/keys')), refetchInterval: (query) => (query.state.data?.rotating ? SOON : false) })
  const rotate = useChange(() => ask(api.POST('/api/v1/keys/rotate')), { stale: ['keys', 'audit'], done: t('keysBegun') })
  return (
    <section className="panel" aria-labelledby="keys-title">
      <h2 id="keys-title">{t('keys')}</h2>
      <p className="dim">{t('keysHint')}</p>
      <Loaded query={found} rows={3}>
        {(told) => {
          const current = told.keys.find((one) => one.state === 'current')
          const old = told.masters.filter((one) => !one.current)
          return (
            <div className="stack-tight">
              <dl className="facts">
                <Fact name={t('keysSince')}>{current?.since ? <At iso={current.since} /> : t('keysFirst')}</Fact>
                <Fact name={t('keysRows')}><Num of={told.keys.reduce((sum, one) => sum + one.rows, 0)} /></Fact>
                <Fact name={t('keysMaster')}>{old.length === 0 ? t('keysOne') : old.every((one) => !one.needed) ? t('keysNeedless') : t('keysNeeded')}</Fact>
              </dl>
              {told.rotating && <div role="status"><Progress percent={progress(told.keys, told.left)} status="active" aria-label={t('keysRunning')} /><span className="dim">{told.keys.some((one) => one.state === 'coming') ? t('keysComing') : t('keysLeft', { n: told.left })}</span></div>}
              <div><Button loading={rotate.isPending} disabled={told.rotating} onClick={() => void modal.confirm({ title: t('keysSure'), content: t('keysSureHint'), okText: t('keysRotate'), onOk: () => rotate.mutateAsync(undefined).catch(() => undefined) })}>{told.rotating ? t('keysRunning') : t('keysRotate')}</Button></div>
              <details><summary>{t('masterHow')}</summary><ol className="how"><li>{t('master1')}</li><li>{t('master2')}</li><li>{t('master3')}</li></ol></details>
            </div>
          )
        }}
      </Loaded>
    </section>
  )
}

export function Installation() {
  const { t, i18n } = useTranslation('settings')
  const found = useQuery({ queryKey: ['installation'], queryFn: () => ask(api.GET('/api/v1/settings/installation')) })
  return (
    <section className="panel" aria-labelledby="site-title">
      <h2 id="site-title">{t('site')}</h2>
      <p className="dim">{t('siteHint')}</p>
      <Loaded query={found}>
        {(told) => (
          <dl className="facts">
            <Fact name={t('siteUrl')}><Copyable text={told.public_url} label={t('siteUrl')} /></Fact>
            <Fact name={t('siteVersion')}>{told.version}</Fact>
            <Fact name={t('siteDatabase')}>{told.database === 'postgresql' ? 'PostgreSQL' : t('siteSqlite')}</Fact>
            <Fact name="Redis">{told.embedded_redis ? t('siteEmbedded') : t('siteOwn')}</Fact>
            <Fact name={t('siteRunning')}>{told.running.map((one) => (i18n.exists(`settings:process.${one}`) ? t(`process.${one as 'api'}`) : one)).join(t('comma')) || '—'}</Fact>
            <Fact name={t('siteNetworks')}>{told.networks.length ? told.networks.map((one) => <code key={one} className="tag">{one}</code>) : t('sitePublic')}</Fact>
            <Fact name={t('siteSso')}>{told.single_sign_on ? t('on') : t('off')}</Fact>
            <Fact name={t('siteSandbox')}>{told.sandbox ? t('on') : t('off')}</Fact>
            <Fact name={t('siteBody')}>{size(told.max_body)}</Fact>
          </dl>
        )}
      </Loaded>
    </section>
  )
}
