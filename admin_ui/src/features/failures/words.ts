import type { Twin } from '@/i18n/common'

export const zh = {
  title: '失败处理', lead: '同一个原因合成一组：先修好原因，再一次重放整组。',
  none: '没有失败', noneHint: '所有数据都已到达或正在路上。',
  count: '{{n}} 条', oldest: '最早', newest: '最近', cause: '原因', where: '在哪里', what: { event: '读取时', delivery: '投递时' },
  show: '查看明细', hide: '收起', fix: '去修复', fixConnection: '检查连接', fixMapping: '检查字段映射', fixRoute: '检查路由',
  replayAll: '重放全部 {{n}} 条', bulk: '批量重放', bulkSure: '将重放 {{n}} 条，按原有顺序进行。已送达的不会重复发送。', bulkGo: '开始重放', running: '正在重放', progress: '已重放 {{done}} / {{total}}', stop: '停止', stopped: '已停止，重放了 {{n}} 条', done: '完成：重放了 {{n}} 条', again: '{{n}} 条没有可重放的内容', close: '完成',
  rate: '每秒最多', rateUnit: '条', rateHint: '数字越小，对对方系统的压力越小；实时数据始终优先', by: '用哪个映射版本', byPlanned: '当时的映射', byNewest: '最新映射', byHint: '修好了映射就选最新映射；否则按当时的映射重放', behind: '转到后台', overtaken: '{{n}} 条已有更新的数据，不再发送', takenBack: '{{n}} 条退回原状',
  jobs: '批量重放', job: { waiting: '排队中', running: '重放中', paused: '已暂停', done: '已完成', failed: '失败', cancelled: '已取消' }, jobCounts: '已重放 {{replayed}} / {{matched}}', perSecond: '每秒 {{n}} 条', unbounded: '不限速', everything: '全部', pause: '暂停', resume: '继续', cancelJob: '取消', cancelJobSure: '还没有发出的退回原状；正在发送的会发完。',
  number: '单号', at: '时间', state: '状态', attempts: '尝试', detail: '对方原话', open: '打开', only: '只看路由 {{route}}', showAll: '查看全部', unknown: '未说明原因',
} as const

export const en: Twin<typeof zh> = {
  title: 'Failures', lead: 'What fails for one reason is one group: mend the reason, then replay the group at once.',
  none: 'No failures', noneHint: 'Everything arrived or is on its way.',
  count: '{{n}}', oldest: 'Oldest', newest: 'Newest', cause: 'Cause', where: 'Where', what: { event: 'Reading', delivery: 'Delivering' },
  show: 'Show them', hide: 'Hide', fix: 'Mend', fixConnection: 'Check the connection', fixMapping: 'Check the mapping', fixRoute: 'Check the route',
  replayAll: 'Replay all {{n}}', bulk: 'Replay many', bulkSure: '{{n}} will be replayed in their order. What was delivered is not sent again.', bulkGo: 'Replay', running: 'Replaying', progress: '{{done}} of {{total}} replayed', stop: 'Stop', stopped: 'Stopped; {{n}} were replayed', done: 'Done: {{n}} were replayed', again: '{{n}} had nothing to replay', close: 'Close',
  rate: 'At most per second', rateUnit: 'deliveries', rateHint: 'A smaller number is easier on the other system; live data always goes first', by: 'By which mapping', byPlanned: 'As planned', byNewest: 'Newest mapping', byHint: 'If the mapping was mended, take the newest; else each goes as it was planned', behind: 'Go on behind', overtaken: '{{n}} were overtaken by newer data and are not sent', takenBack: '{{n}} are as they were',
  jobs: 'Replays of many', job: { waiting: 'Waiting', running: 'Running', paused: 'Paused', done: 'Done', failed: 'Failed', cancelled: 'Cancelled' }, jobCounts: '{{replayed}} of {{matched}} replayed', perSecond: '{{n}} a second', unbounded: 'no bound', everything: 'Everything', pause: 'Pause', resume: 'Go on', cancelJob: 'Cancel', cancelJobSure: 'What was not sent yet is as it was; what is under way comes to its end.',
  number: 'Number', at: 'When', state: 'State', attempts: 'Tries', detail: 'Their words', open: 'Open', only: 'Only route {{route}}', showAll: 'Show all', unknown: 'No reason given',
}
