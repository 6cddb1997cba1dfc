import type { Twin } from '@/i18n/common'

export const zh = {
  title: '历史导入', lead: '把接入之前的数据读进来。慢慢读、不影响实时数据；只补资料，不给任何人发消息。',
  start: '导入历史', offers: '可以导入', offersHint: '这些来源还没有导入过历史数据。', offer: '{{when}} 之前的还没有读', take: '导入', none: '还没有导入过历史', noneHint: '选一个来源和开始日期，枢纽会慢慢读完。', list: '导入记录',
  connection: '连接', source: '来源', since: '从什么时候开始', until: '到什么时候为止', untilHint: '不填则读到实时读取开始的地方', budget: '每秒最多读取', budgetUnit: '条', budgetHint: '数字越小，对对方系统的压力越小', go: '开始导入', choose: '请选择', started: '已开始导入',
  what: '读什么', span: '时间范围', progress: '进度', state: { waiting: '排队中', running: '导入中', paused: '已暂停', done: '已完成', failed: '失败', cancelled: '已取消' }, cause: { person: '手动', first: '首次接入', gap: '停机后补读' }, counts: '读到 {{rows}} 条，新增 {{fresh}} 条', readTo: '已读到', by: '发起',
  pause: '暂停', resume: '继续', cancel: '取消', cancelSure: '已经读进来的会保留。', paused: '已暂停', resumed: '继续导入', cancelled: '已取消', noSource: '这个连接没有可以读取历史的来源',
} as const

export const en: Twin<typeof zh> = {
  title: 'Backfills', lead: 'Read in what happened before. It goes slowly beside live data, only brings records up to date, and sends nobody a message.',
  start: 'Import history', offers: 'To be imported', offersHint: 'The history of these sources was not read yet.', offer: 'nothing before {{when}} was read', take: 'Import', none: 'No history was imported yet', noneHint: 'Pick a source and a first day; the hub reads it little by little.', list: 'Imports',
  connection: 'Connection', source: 'Source', since: 'From when', until: 'Until when', untilHint: 'Empty: up to where live reading began', budget: 'At most per second', budgetUnit: 'records', budgetHint: 'A smaller number is easier on the other system', go: 'Import', choose: 'Choose', started: 'Import started',
  what: 'What', span: 'Time', progress: 'Progress', state: { waiting: 'Waiting', running: 'Running', paused: 'Paused', done: 'Done', failed: 'Failed', cancelled: 'Cancelled' }, cause: { person: 'By hand', first: 'First import', gap: 'After an outage' }, counts: '{{rows}} read, {{fresh}} new', readTo: 'Read up to', by: 'Asked by',
  pause: 'Pause', resume: 'Resume', cancel: 'Cancel', cancelSure: 'What was read stays.', paused: 'Paused', resumed: 'Going on', cancelled: 'Cancelled', noSource: 'This connection has no source with a history',
}
