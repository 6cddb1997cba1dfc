/** One's own account; for an owner how long what is kept, backups, keys and the set-up; checks of the ledger and the doors. */
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Form, Input, Segmented, Table, Tabs } from 'antd'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { api, ask } from '@/api/client'
import { useSession, type Role } from '@/app/session'
import { useAppearance, wear, type Appearance } from '@/app/theme'
import { speak, useLanguage, type Language } from '@/i18n'
import { At, Fact } from '@/kit/bits'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange } from '@/kit/query'
import { Retention } from './retention'
import { Backups, Installation, Keys } from './system'
import '@/style/settings.css'

export default function SettingsPage() {
  const { t } = useTranslation('settings')
  const { may } = useSession()
  const [query, setQuery] = useSearchParams()
  const view = query.get('view') ?? 'own'
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Tabs activeKey={view} onChange={(key) => setQuery(key === 'own' ? {} : { view: key }, { replace: true })} items={[
        { key: 'own', label: t('own'), children: <div className="settings"><Look /><Password /></div> },
        ...(may('owner') ? [
          { key: 'data', label: t('data'), children: <div className="settings"><Retention /><Backups /></div> },
          { key: 'system', label: t('system'), children: <div className="settings"><Keys /><Installation /></div> },
        ] : []),
        { key: 'checks', label: t('checks'), children: <div className="settings">{may('operator') && <Ledger />}<Refused /></div> },
      ]} />
    </Page>
  )
}

function Look() {
  const { t } = useTranslation('settings')
  const { t: common } = useTranslation()
  const { me } = useSession()
  const language = useLanguage()
  const appearance = useAppearance()
  return (
    <section className="panel">
      <h2>{t('look')}</h2>
      <dl className="facts">
        <Fact name={t('account')}><strong>{me?.name}</strong> <span className="tag">{common(`role.${(me?.role ?? 'viewer') as Role}`)}</span></Fact>
        <Fact name={common('language')}><Segmented<Language> value={language} onChange={speak} options={[{ value: 'zh', label: '中文' }, { value: 'en', label: 'English' }]} aria-label={common('language')} /></Fact>
        <Fact name={common('appearance')}><Segmented<Appearance> value={appearance} onChange={wear} options={(['light', 'dark', 'auto'] as const).map((one) => ({ value: one, label: common(`theme.${one}`) }))} aria-label={common('appearance')} /></Fact>
      </dl>
    </section>
  )
}

function Password() {
  const { t } = useTranslation('settings')
  const { signOut } = useSession()
  const [form] = Form.useForm<{ current: string; password: string }>()
  const change = useChange((body: { current: string; password: string }) => ask(api.POST('/api/v1/sessions/current/password', { body })), { done: t('passwordDone'), then: () => void signOut() })
  return (
    <section className="panel">
      <h2>{t('password')}</h2>
      <Form form={form} layout="vertical" onFinish={({ current, password }) => change.mutate({ current, password })} style={{ maxWidth: 380 }}>
        <Form.Item name="current" label={t('current')} rules={[{ required: true, message: t('current') }]}><Input.Password autoComplete="current-password" /></Form.Item>
        <Form.Item name="password" label={t('fresh')} extra={t('passwordHint')} rules={[{ required: true, min: 10, message: t('passwordHint') }]}><Input.Password autoComplete="new-password" /></Form.Item>
        <Form.Item name="again" label={t('again')} dependencies={['password']} rules={[{ required: true, message: t('again') }, ({ getFieldValue }) => ({ validator: (_, value) => (value === getFieldValue('password') ? Promise.resolve() : Promise.reject(new Error(t('differ')))) })]}><Input.Password autoComplete="new-password" /></Form.Item>
        <Button htmlType="submit" type="primary" loading={change.isPending}>{t('change')}</Button>
      </Form>
    </section>
  )
}

function Ledger() {
  const { t } = useTranslation('settings')
  const check = useChange(() => ask(api.POST('/api/v1/ledger/audit')))
  return (
    <section className="panel">
      <h2>{t('ledger')}</h2>
      <p className="dim">{t('ledgerHint')}</p>
      <Button loading={check.isPending} onClick={() => check.mutate(undefined)}>{t('check')}</Button>
      {check.data && <Alert style={{ marginTop: 16 }} showIcon type={check.data.ok ? 'success' : 'error'} title={check.data.ok ? t('fine') : t('wrong')} description={check.data.differences.join(' · ') || undefined} />}
    </section>
  )
}

function Refused() {
  const { t } = useTranslation('settings')
  const found = useQuery({ queryKey: ['quarantine'], queryFn: () => ask(api.GET('/api/v1/quarantine', { params: { query: { limit: 50 } } })) })
  return (
    <section className="panel settings-wide">
      <h2>{t('refused')}</h2>
      <p className="dim">{t('refusedHint')}</p>
      <Loaded query={found} rows={3}>
        {({ items }) => items.length === 0 ? <Nothing title={t('none')} art={false} /> : (
          <Table size="small" rowKey="id" dataSource={items} pagination={{ pageSize: 10, hideOnSinglePage: true }} scroll={{ x: 640 }} columns={[
            { title: t('at'), key: 'at', render: (_, one) => <At iso={one.at} /> },
            { title: t('connection'), dataIndex: 'connection' },
            { title: t('reason'), dataIndex: 'reason', render: (text: string) => <span className="tag">{text}</span> },
            { title: t('detail'), dataIndex: 'detail' },
          ]} />
        )}
      </Loaded>
    </section>
  )
}
