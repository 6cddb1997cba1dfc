import type { Twin } from '@/i18n/common'

export const zh = {
  title: '事件', lead: '每一条进来的数据和它的去向。输入订单号、外部编号、客户手机或邮箱，即可找到它在所有系统里的踪迹。',
  find: '订单号 / 外部编号 / 手机', connection: '来源连接', entity: '业务对象', state: '状态', since: '从', until: '到', reset: '清除条件',
  fresh: '有新的事件，点击刷新', number: '单号', received: '收到时间', message: '消息', reason: '说明', source: '来源',
  emptyTitle: '没有符合条件的事件', emptyHint: '换个条件试试；新数据到达后会出现在这里。',
  event: '事件 {{id}}', timeline: '经过', data: '数据', deliveries: '投递', links: '对应的记录', payload: '原始报文', canonical: '标准模型', canonicalNone: '没有转换成标准模型：{{why}}',
  replay: '重放', replayDone: '已重新开始', replaySure: '重放会再次执行未成功的部分；已送达的不会重复发送。', reveal: '显示完整信息', revealed: '已显示完整个人信息（已记入审计日志）', masked: '个人信息已打码',
  record: '记录编号', trace: '跟踪号', mapping: '映射', hop: '跳数', occurred: '发生时间', failures: '失败次数',
  attempt: '第 {{n}} 次', attempts: '{{n}} 次尝试', request: '请求', response: '应答', took: '{{ms}} 毫秒', next: '下次尝试', target: '目标', operation: '接口操作', route: '路由', targetRecord: '目标编号', skip: '跳过不发', skipSure: '跳过后这条不会再发送，排在它后面的会继续。', skipped: '已跳过', noDeliveries: '没有要投递的内容', noLinks: '还没有对应关系', exchanges: '请求与应答',
  wrote: '我们最近写入', version: '对方修改时间',
  edit: '修改并重放', editPayload: '修改收到的原始报文，再重新读取。', editCanonical: '修改标准模型里的值，再投递没有送达的部分；已送达的不会重复发送。', editMasked: '打码的值不改就保持原样。', editNone: '这个事件没有可修改的内容', compare: '比较改动', editGo: '修改并重放', editSame: '没有改动', editNote: '为什么修改（会留存）', editDone: '已修改并重新开始', edits: '修改记录', field: '字段', was: '原来', becomes: '改为',
} as const

export const en: Twin<typeof zh> = {
  title: 'Events', lead: 'Everything that came in and what became of it. An order number, an id, or the phone or mail of a customer finds its traces in every system.',
  find: 'Order number / id / phone', connection: 'Source', entity: 'Entity', state: 'State', since: 'From', until: 'To', reset: 'Clear',
  fresh: 'New events; refresh', number: 'Number', received: 'Received', message: 'Message', reason: 'Why', source: 'Source',
  emptyTitle: 'No event fits', emptyHint: 'Try other conditions; new data shows up here as it arrives.',
  event: 'Event {{id}}', timeline: 'Story', data: 'Data', deliveries: 'Deliveries', links: 'Linked records', payload: 'As it came', canonical: 'Standard model', canonicalNone: 'Not mapped: {{why}}',
  replay: 'Replay', replayDone: 'Set going again', replaySure: 'A replay repeats what did not succeed; what was delivered is not sent again.', reveal: 'Show in full', revealed: 'Personal data is shown in full (audited)', masked: 'Personal data is masked',
  record: 'Record', trace: 'Trace', mapping: 'Mapping', hop: 'Hop', occurred: 'Occurred', failures: 'Failures',
  attempt: 'Try {{n}}', attempts: '{{n}} tries', request: 'Request', response: 'Answer', took: '{{ms}} ms', next: 'Next try', target: 'Target', operation: 'Operation', route: 'Route', targetRecord: 'Id over there', skip: 'Skip', skipSure: 'Skipped, it is not sent again; what waits behind it goes on.', skipped: 'Skipped', noDeliveries: 'Nothing to deliver', noLinks: 'Not linked yet', exchanges: 'Request and answer',
  wrote: 'We last wrote', version: 'Changed over there',
  edit: 'Edit and replay', editPayload: 'Edit what came in, then have it read again.', editCanonical: 'Edit values of the standard model, then deliver what did not arrive; what was delivered is not sent again.', editMasked: 'What is masked stays as it was unless you change it.', editNone: 'Nothing of this event can be edited', compare: 'Compare', editGo: 'Edit and replay', editSame: 'Nothing changed', editNote: 'Why (it is kept)', editDone: 'Edited and set going again', edits: 'Edits', field: 'Field', was: 'Was', becomes: 'Becomes',
}
