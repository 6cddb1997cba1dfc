import type { Twin } from '@/i18n/common'

export const zh = {
  title: '告警', lead: '出了问题，谁在哪里第一时间知道。一条消息讲清全部情况，好了也会说一声。', create: '新建告警', edit: '修改告警',
  rulesTab: '告警规则', historyTab: '触发记录', messagesTab: '发出的消息',
  emptyTitle: '还没有告警', emptyHint: '选好要关心的情况和通知到哪个群，一分钟设置好。', calm: '一切正常，没有正在触发的告警。',
  firing: '正在触发', firingCount: '{{n}} 项正在触发', quiet: '没有触发', off: '已停用', since: '已持续', take: '我来处理', taken: '{{who}} 在处理', look: '去看看',
  name: '告警名称', nameHint: '出现在消息开头，例如「值班」', key: '标识', keyBad: '小写字母、数字、- 和 _，以字母或数字开头',
  what: '关心哪些情况', addRule: '再加一种情况', kind: '情况', connections: '哪些连接', everyConnection: '全部连接',
  atLeast: '达到', within: '多久之内新增', anyAge: '不论新旧', before: '提前多久', lasting: '持续', tooLong: '超过', always: '免打扰时段也通知',
  who: '通知到哪里', addChannel: '再加一个渠道', channel: '渠道', recipients: '接收人', recipientsHint: '对方系统里的账号、邮箱或会话编号，可填多个', recipientsNeeded: '这个渠道需要写明接收人', channelsNone: '还没有能发消息的连接', channelsNoneHint: '先连接一个群机器人、邮箱或自己的系统，再回来选它。', connect: '去连接', notEnabled: '未启用',
  when: '什么时候说', repeat: '没解决时每隔多久再提醒', never: '不再提醒', gather: '新情况最多多久发一次', hours: '只在这些时间通知', hoursHint: '其余时间免打扰；到点时仍在持续的会补发。', from: '从', to: '到', days: '星期', resolved: '恢复时也通知', language: '消息语言', enabled: '启用',
  test: '发送测试消息', testGood: '{{channel}}：已送达', testBad: '{{channel}}：没有送达', sure: '确定删除告警「{{name}}」？', sureHint: '正在触发的会一并结束，不再通知。',
  at: '时间', alert: '告警', trouble: '情况', state: '状态', ended: '结束于', message: '消息', to_: '渠道', noHistory: '还没有触发过告警', noMessages: '还没有发出过消息',
  ended_: '已恢复', sent: '已送达', waiting: '等待发送', failed: '未送达',
  day: { mon: '一', tue: '二', wed: '三', thu: '四', fri: '五', sat: '六', sun: '日' },
  count: '{{n}} 条', missing: '请填写',
} as const

export const en: Twin<typeof zh> = {
  title: 'Alerts', lead: 'Who hears of trouble first, and where. One message tells it all, and another when it is over.', create: 'New alert', edit: 'Change alert',
  rulesTab: 'Rules', historyTab: 'History', messagesTab: 'Messages',
  emptyTitle: 'No alerts yet', emptyHint: 'Choose what matters and which group is told: one minute.', calm: 'All is well: nothing fires.',
  firing: 'Firing now', firingCount: '{{n}} firing', quiet: 'Nothing fires', off: 'Off', since: 'For', take: 'I take it', taken: '{{who}} is on it', look: 'Look',
  name: 'Name of the alert', nameHint: 'At the head of its messages, e.g. "on duty"', key: 'Key', keyBad: 'Lower-case letters, digits, - and _, starting with a letter or digit',
  what: 'What matters', addRule: 'One more', kind: 'Trouble', connections: 'Connections', everyConnection: 'All connections',
  atLeast: 'At least', within: 'New within', anyAge: 'However old', before: 'Ahead of the end', lasting: 'Lasting', tooLong: 'Longer than', always: 'Also in quiet hours',
  who: 'Who is told', addChannel: 'One more channel', channel: 'Channel', recipients: 'Recipients', recipientsHint: 'Accounts, addresses or chats of that system; several are fine', recipientsNeeded: 'This channel must be told whom', channelsNone: 'No connection can send messages yet', channelsNoneHint: 'Connect a group robot, a mailbox or a system of your own, then come back.', connect: 'Connect one', notEnabled: 'not enabled',
  when: 'When', repeat: 'While it lasts, again every', never: 'Never again', gather: 'New trouble at most every', hours: 'Only at these hours', hoursHint: 'Quiet at other times; what still lasts at the opening is told then.', from: 'From', to: 'To', days: 'Days', resolved: 'Also when it is over', language: 'Language of messages', enabled: 'Enabled',
  test: 'Send a test', testGood: '{{channel}}: delivered', testBad: '{{channel}}: not delivered', sure: 'Remove the alert "{{name}}"?', sureHint: 'What fires by it ends without a word.',
  at: 'When', alert: 'Alert', trouble: 'Trouble', state: 'State', ended: 'Ended', message: 'Message', to_: 'Channel', noHistory: 'Nothing has fired yet', noMessages: 'No message was sent yet',
  ended_: 'Over', sent: 'Delivered', waiting: 'Waiting', failed: 'Not delivered',
  day: { mon: 'Mon', tue: 'Tue', wed: 'Wed', thu: 'Thu', fri: 'Fri', sat: 'Sat', sun: 'Sun' },
  count: '{{n}}', missing: 'Please fill in',
}
