/** The words of messages: written with placeholders picked from a list, previewed with sample data. */
import { PlusOutlined } from '@ant-design/icons'
import { App, Button, Drawer, Form, Input, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask } from '@/api/client'
import { useSession } from '@/app/session'
import { useTemplates, type Template } from '@/data/catalogue'
import { Loaded, Nothing, Page } from '@/kit/page'
import { useChange } from '@/kit/query'
import { zh } from './words'

type Slug = keyof typeof zh.vars
const VARS = ['order.number', 'order.total', 'shipment.carrier_name', 'shipment.tracking_number', 'customer.name', 'contact.owner', 'event.connection']
const slug = (name: string): Slug => name.replace('.', '_') as Slug
const EXAMPLE: Record<string, string> = { 'order.number': 'SO-20261111-0001', 'order.total': '188.00', 'shipment.carrier_name': '顺丰速运', 'shipment.tracking_number': 'SF1234567890', 'customer.name': '李**', 'contact.owner': 'wang.li', 'event.connection': 'shop' }

export default function TemplatesPage() {
  const { t } = useTranslation('templates')
  const { may } = useSession()
  const templates = useTemplates()
  const [editing, setEditing] = useState<Partial<Template> | null>(null)
  const add = may('editor') && <Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing({})}>{t('create')}</Button>
  return (
    <Page title={t('title')} lead={t('lead')} actions={add}>
      <Loaded query={templates}>
        {(found) => found.length === 0 ? <div className="panel"><Nothing title={t('empty')} hint={t('emptyHint')}>{add}</Nothing></div> : (
          <ul className="cards">
            {found.map((one) => (
              <li key={one.key}><button type="button" className="card card-button" onClick={() => setEditing(one)}><div className="row apart"><strong>{one.title || one.key}</strong><code className="dim">{one.key}</code></div><Filled text={one.text} /></button></li>
            ))}
          </ul>
        )}
      </Loaded>
      {editing && <Editor template={editing} close={() => setEditing(null)} />}
    </Page>
  )
}

/** Text with its placeholders as people read them. */
function Filled({ text, example = false }: { text: string; example?: boolean }) {
  const { t } = useTranslation('templates')
  return (
    <span className="filled">
      {text.split(/(\{[^}]+\})/).map((part, i) => {
        const name = /^\{([^}]+)\}$/.exec(part)?.[1]
        if (!name) return part
        if (example) return <b key={i}>{EXAMPLE[name] ?? '…'}</b>
        return <mark key={i}>{slug(name) in zh.vars ? t(`vars.${slug(name)}`) : name}</mark>
      })}
    </span>
  )
}

function Editor({ template, close }: { template: Partial<Template>; close: () => void }) {
  const { t } = useTranslation('templates')
  const { t: common } = useTranslation()
  const { may } = useSession()
  const { modal } = App.useApp()
  const [form] = Form.useForm<Template>()
  const text = (Form.useWatch('text', form) as string | undefined) ?? ''
  const save = useChange((given: Template) => ask(api.PUT('/api/v1/templates/{key}', { params: { path: { key: given.key } }, body: given })), { stale: ['templates'], done: common('saved'), then: close })
  const remove = useChange((key: string) => ask(api.DELETE('/api/v1/templates/{key}', { params: { path: { key } } })), { stale: ['templates'], done: common('removed'), then: close })
  const fixed = !may('editor')
  return (
    <Drawer open onClose={close} size={560} title={template.key ? t('edit') : t('create')} extra={!fixed && <Button type="primary" loading={save.isPending} onClick={() => form.submit()}>{common('save')}</Button>}>
      <Form<Template> form={form} layout="vertical" disabled={fixed} initialValues={{ format: 'text', recipients: ['{contact.owner}'], ...template }} onFinish={(given) => save.mutate({ ...given, title: given.title || null, url: given.url || null })}>
        <Form.Item name="key" label={t('key')} rules={[{ required: true, message: t('key') }, { pattern: /^[a-z0-9][a-z0-9_-]{0,59}$/, message: t('keyBad') }]}><Input disabled={Boolean(template.key) || fixed} autoComplete="off" /></Form.Item>
        <Form.Item name="title" label={t('heading')}><Input /></Form.Item>
        <Form.Item name="text" label={t('text')} rules={[{ required: true, message: t('text') }]}><Input.TextArea rows={4} maxLength={4000} showCount /></Form.Item>
        <div className="row inserts"><span className="dim">{t('insert')}</span>{VARS.map((one) => <Button key={one} size="small" onClick={() => form.setFieldValue('text', `${text}{${one}}`)}>{t(`vars.${slug(one)}`)}</Button>)}</div>
        <div className="bubble" aria-label={t('preview')}><Filled text={text || '…'} example /></div>
        <Form.Item name="recipients" label={t('recipients')} extra={t('recipientsHint')} rules={[{ required: true, message: t('recipients') }]}><Select mode="tags" tokenSeparators={[',', '，', ' ']} options={[{ value: '{contact.owner}', label: t('vars.contact_owner') }]} /></Form.Item>
        <Form.Item name="format" label={t('format')}><Select options={[{ value: 'text', label: t('plain') }, { value: 'markdown', label: t('markdown') }]} /></Form.Item>
        <Form.Item name="url" label={t('url')}><Input inputMode="url" /></Form.Item>
      </Form>
      {template.key && !fixed && <Button danger type="text" onClick={() => void modal.confirm({ title: t('sure', { key: template.key ?? '' }), okButtonProps: { danger: true }, okText: common('remove'), onOk: () => remove.mutateAsync(template.key ?? '').catch(() => undefined) })}>{common('remove')}</Button>}
    </Drawer>
  )
}
