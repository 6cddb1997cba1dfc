/** People who may sign in, and tokens for programs. */
import { PlusOutlined } from '@ant-design/icons'
import { Alert, App, Button, DatePicker, Form, Input, Modal, Popconfirm, Select, Switch, Tabs } from 'antd'
import type { Dayjs } from 'dayjs'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { useSession, type Role } from '@/app/session'
import { Ago, At, Copyable } from '@/kit/bits'
import { List } from '@/kit/list'
import { Nothing, Page } from '@/kit/page'
import { useChange, usePaged } from '@/kit/query'

type User = Schemas['User']
type Token = Schemas['Token']
const ROLES: Role[] = ['viewer', 'operator', 'editor', 'owner']

export default function UsersPage() {
  const { t } = useTranslation('users')
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Tabs items={[{ key: 'people', label: t('people'), children: <People /> }, { key: 'tokens', label: t('tokens'), children: <Tokens /> }]} />
    </Page>
  )
}

function useRoles() {
  const { t } = useTranslation('users')
  const { t: common } = useTranslation()
  return ROLES.map((one) => ({ value: one, label: <span>{common(`role.${one}`)} <span className="dim">{t(`roleHint.${one}`)}</span></span>, title: common(`role.${one}`) }))
}

function People() {
  const { t } = useTranslation('users')
  const { t: common } = useTranslation()
  const { me } = useSession()
  const [editing, setEditing] = useState<User | 'new' | null>(null)
  const pages = usePaged<User>(['users'], (cursor) => ask(api.GET('/api/v1/users', { params: { query: { limit: 50, cursor } } })))
  return (
    <>
      <div className="filters"><Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing('new')}>{t('add')}</Button></div>
      <List<User> pages={pages} label={t('people')} rowKey={(one) => one.id} empty={<Nothing title={t('people')} />} open={(one) => setEditing(one)} columns={[
        { title: t('name'), key: 'name', render: (_, one) => <><strong>{one.name}</strong>{one.name === me?.name && <span className="tag" style={{ marginLeft: 8 }}>{t('you')}</span>}</> },
        { title: t('role'), key: 'role', render: (_, one) => common(`role.${one.role}`) },
        { title: t('state'), key: 'state', render: (_, one) => <span className={`state tone-${one.disabled ? 'off' : one.locked_until ? 'warn' : 'good'}`}><i />{one.disabled ? t('disabled') : one.locked_until ? t('locked') : t('active')}</span> },
        { title: t('created'), key: 'created', render: (_, one) => <At iso={one.created_at} /> },
        { title: '', key: 'edit', align: 'right', render: (_, one) => <Button size="small" onClick={() => setEditing(one)}>{common('edit')}</Button> },
      ]} />
      {editing && <PersonForm user={editing === 'new' ? null : editing} close={() => setEditing(null)} />}
    </>
  )
}

interface PersonValues { name: string; password?: string; role: Role; active: boolean }

function PersonForm({ user, close }: { user: User | null; close: () => void }) {
  const { t } = useTranslation('users')
  const { t: common } = useTranslation()
  const { modal } = App.useApp()
  const [form] = Form.useForm<PersonValues>()
  const roles = useRoles()
  const save = useChange<PersonValues, User>(
    ({ name, password, role, active }) =>
      user
        ? ask(api.PATCH('/api/v1/users/{id}', { params: { path: { id: user.id } }, body: { role, disabled: !active, ...(password ? { password } : {}) } }))
        : ask(api.POST('/api/v1/users', { body: { name, password: password ?? '', role } })),
    { stale: ['users'], done: common('saved'), then: close },
  )
  const remove = useChange(() => ask(api.DELETE('/api/v1/users/{id}', { params: { path: { id: user?.id ?? '' } } })), { stale: ['users'], done: common('removed'), then: close })
  return (
    <Modal open title={user ? t('edit') : t('add')} onCancel={close} onOk={() => form.submit()} okText={common('save')} cancelText={common('cancel')} confirmLoading={save.isPending}
      footer={(_, { OkBtn, CancelBtn }) => <div className="row apart">{user ? <Button danger type="text" onClick={() => void modal.confirm({ title: t('sure', { name: user.name }), content: t('sureHint'), okText: common('remove'), okButtonProps: { danger: true }, onOk: () => remove.mutateAsync(undefined).catch(() => undefined) })}>{common('remove')}</Button> : <span />}<span className="row"><CancelBtn /><OkBtn /></span></div>}>
      <Form form={form} layout="vertical" initialValues={{ name: user?.name, role: user?.role ?? 'viewer', active: !user?.disabled }} onFinish={(given: PersonValues) => save.mutate(given)}>
        <Form.Item name="name" label={t('name')} extra={!user && t('nameHint')} rules={[{ required: true, pattern: /^[A-Za-z0-9._@-]{1,80}$/, message: t('nameHint') }]}><Input disabled={Boolean(user)} autoComplete="off" /></Form.Item>
        <Form.Item name="password" label={user ? t('passwordNew') : t('password')} extra={t('passwordHint')} rules={[{ required: !user, message: t('passwordHint') }, { min: 10, message: t('passwordHint') }]}><Input.Password autoComplete="new-password" /></Form.Item>
        <Form.Item name="role" label={t('role')}><Select options={roles} /></Form.Item>
        {user && <Form.Item name="active" label={t('active')} valuePropName="checked"><Switch /></Form.Item>}
      </Form>
    </Modal>
  )
}

function Tokens() {
  const { t } = useTranslation('users')
  const { t: common } = useTranslation()
  const [making, setMaking] = useState(false)
  const pages = usePaged<Token>(['tokens'], (cursor) => ask(api.GET('/api/v1/tokens', { params: { query: { limit: 50, cursor } } })))
  const revoke = useChange((id: string) => ask(api.DELETE('/api/v1/tokens/{id}', { params: { path: { id } } })), { stale: ['tokens'], done: common('removed') })
  return (
    <>
      <div className="filters"><Button type="primary" icon={<PlusOutlined />} onClick={() => setMaking(true)}>{t('issue')}</Button></div>
      <List<Token> pages={pages} label={t('tokens')} rowKey={(one) => one.id} empty={<Nothing title={t('noTokens')} hint={t('noTokensHint')} />} columns={[
        { title: t('token'), dataIndex: 'name' },
        { title: t('role'), key: 'role', render: (_, one) => common(`role.${one.role}`) },
        { title: t('by'), dataIndex: 'created_by' },
        { title: t('used'), key: 'used', render: (_, one) => <Ago iso={one.used_at} /> },
        { title: t('expires'), key: 'expires', render: (_, one) => (one.expires_at ? <At iso={one.expires_at} /> : <span className="dim">{t('never')}</span>) },
        { title: '', key: 'acts', align: 'right', render: (_, one) => <Popconfirm title={t('revoke')} description={t('revokeSure')} onConfirm={() => revoke.mutate(one.id)}><Button size="small" danger>{t('revoke')}</Button></Popconfirm> },
      ]} />
      {making && <TokenForm close={() => setMaking(false)} />}
    </>
  )
}

function TokenForm({ close }: { close: () => void }) {
  const { t } = useTranslation('users')
  const { t: common } = useTranslation()
  const [form] = Form.useForm<{ name: string; role: Role; expires_at?: Dayjs }>()
  const roles = useRoles()
  const issue = useChange<{ name: string; role: Role; expires_at?: Dayjs }, Schemas['IssuedToken']>((given) =>
    ask(api.POST('/api/v1/tokens', { body: { name: given.name, role: given.role, expires_at: given.expires_at?.toISOString() ?? null } })), { stale: ['tokens'] })
  return (
    <Modal open title={t('issue')} onCancel={close} onOk={() => (issue.data ? close() : form.submit())} okText={issue.data ? t('done') : common('create')} cancelText={common('cancel')} confirmLoading={issue.isPending} mask={{ closable: false }}>
      {issue.data ? <Alert type="success" showIcon title={t('shown')} description={<Copyable text={issue.data.token} label={t('token')} />} /> : (
        <Form form={form} layout="vertical" initialValues={{ role: 'viewer' }} onFinish={(given) => issue.mutate(given)}>
          <Form.Item name="name" label={t('token')} rules={[{ required: true, max: 70, message: t('token') }]}><Input autoComplete="off" placeholder="grafana" /></Form.Item>
          <Form.Item name="role" label={t('role')}><Select options={roles} /></Form.Item>
          <Form.Item name="expires_at" label={`${t('expires')} · ${common('optional')}`}><DatePicker showTime style={{ width: '100%' }} placeholder={t('never')} /></Form.Item>
        </Form>
      )}
    </Modal>
  )
}
