/** Who changed what, and whether the log is whole. */
import { SafetyCertificateOutlined } from '@ant-design/icons'
import { Alert, Button, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { At } from '@/kit/bits'
import { JsonView } from '@/kit/json-view'
import { List } from '@/kit/list'
import { Nothing, Page } from '@/kit/page'
import { useChange, usePaged } from '@/kit/query'

export default function AuditPage() {
  const { t } = useTranslation('audit')
  const [given, setGiven] = useState<{ actor?: string; action?: string; object?: string }>({})
  const pages = usePaged<Schemas['Entry']>(['audit', given], (cursor) => ask(api.GET('/api/v1/audit', { params: { query: { ...given, limit: 50, cursor } } })))
  const verify = useChange(() => ask(api.POST('/api/v1/audit/verify')))
  const set = (part: typeof given): void => setGiven((now) => ({ ...now, ...part }))
  return (
    <Page title={t('title')} lead={t('lead')} actions={<Button icon={<SafetyCertificateOutlined />} loading={verify.isPending} onClick={() => verify.mutate(undefined)}>{t('verify')}</Button>}>
      {verify.data && <Alert style={{ marginBottom: 16 }} showIcon closable type={verify.data.ok ? 'success' : 'error'} title={verify.data.ok ? t('whole') : t('broken', { n: verify.data.problems.length })} description={verify.data.problems.slice(0, 5).join(' · ') || undefined} />}
      <search className="filters">
        <Input.Search style={{ width: 180 }} placeholder={t('filterActor')} aria-label={t('filterActor')} allowClear onSearch={(text) => set({ actor: text || undefined })} />
        <Input.Search style={{ width: 230 }} placeholder={t('filterAction')} aria-label={t('filterAction')} allowClear onSearch={(text) => set({ action: text || undefined })} />
        <Input.Search style={{ width: 230 }} placeholder={t('filterObject')} aria-label={t('filterObject')} allowClear onSearch={(text) => set({ object: text || undefined })} />
      </search>
      <List<Schemas['Entry']> pages={pages} label={t('title')} rowKey={(one) => one.id} empty={<Nothing title={t('empty')} />} columns={[
        { title: t('at'), key: 'at', width: 150, render: (_, one) => <At iso={one.at} /> },
        { title: t('actor'), dataIndex: 'actor', width: 160 },
        { title: t('action'), dataIndex: 'action', width: 210, render: (text: string) => <code>{text}</code> },
        { title: t('object'), dataIndex: 'object', render: (text: string) => <code className="dim">{text}</code> },
        { title: t('detail'), key: 'detail', render: (_, one) => Object.keys(one.detail).length > 0 && <details><summary className="dim clip" style={{ maxWidth: 260 }}>{Object.keys(one.detail).join(', ')}</summary><JsonView value={one.detail} /></details> },
      ]} />
    </Page>
  )
}
