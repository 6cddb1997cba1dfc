import type { Twin } from '@/i18n/common'

export const zh = {
  title: '冲突', lead: '两个系统同时改了同一个字段、说法不一时，在这里看清谁在什么时候说了什么，并定下以谁为准。',
  open: '待处理', settled: '已处理', entity: '业务对象', none: '没有待处理的冲突', noneHint: '两个系统同时改同一字段、且规则是「人工决定」时，会在这里等您处理。', settledNone: '还没有处理过的冲突', rules: '设置以谁为准',
  what: '{{entity}}「{{about}}」的{{field}}', unknown: '#{{id}}', said: '{{connection}} 说', at: '修改于', newer: '较晚', choose: '以此为准', empty: '（空）', other: '都不对，填写别的值', otherHint: '填写正确的值，所有系统都会改成它。', use: '采用这个值', rule: '规则：', event: '由事件 {{id}} 引起', reveal: '显示完整', held: '采用了这个值', winner: '以 {{who}} 为准', person: '人工填写', by: '由 {{who}} 处理', auto: '自动处理', agreed: '双方已一致',
  done: '已定下，正在写入 {{n}} 个系统', doneNone: '已定下，各系统都已是这个值',
  bulk: '批量处理', bulkTitle: '批量以某个系统为准', bulkHint: '所有待处理、且这个系统也表过态的冲突，都采用它的值。', bulkWho: '以哪个系统为准', bulkField: '只处理这个字段', bulkAny: '所有字段', bulkGo: '处理 {{n}} 个冲突', bulkNone: '没有符合的冲突', bulkBusy: '已处理 {{done}} / {{total}}', bulkDone: '完成：处理了 {{n}} 个', bulkStopped: '已停止：处理了 {{n}} 个', bulkMissed: '{{n}} 个没有处理（可能已被他人处理）', stop: '停止', close: '完成', more: '还有更多，处理完这一批可以再来一次。',
} as const

export const en: Twin<typeof zh> = {
  title: 'Conflicts', lead: 'Two systems changed one field at once: see who said what and when, and decide.',
  open: 'To decide', settled: 'Decided', entity: 'Entity', none: 'Nothing to decide', noneHint: 'When two systems change one field at once and the rule says that a person decides, it waits here.', settledNone: 'Nothing was decided yet', rules: 'Whose word counts',
  what: '{{field}} of the {{entity}} "{{about}}"', unknown: '#{{id}}', said: '{{connection}} says', at: 'changed', newer: 'later', choose: 'This one counts', empty: '(empty)', other: 'Neither is right: enter another', otherHint: 'Enter the right value; every system will get it.', use: 'Use this value', rule: 'Rule: ', event: 'Brought up by event {{id}}', reveal: 'Show in full', held: 'This one counted', winner: '{{who}} counted', person: 'Entered by hand', by: 'decided by {{who}}', auto: 'decided by rule', agreed: 'the systems agree',
  done: 'Decided; writing to {{n}} systems', doneNone: 'Decided; every system has it already',
  bulk: 'Decide many', bulkTitle: 'Decide many by one system', bulkHint: 'Every open conflict in which this system has a say takes its value.', bulkWho: 'Whose word counts', bulkField: 'Only this field', bulkAny: 'All fields', bulkGo: 'Decide {{n}} conflicts', bulkNone: 'No conflict fits', bulkBusy: '{{done}} of {{total}} decided', bulkDone: 'Done: {{n}} decided', bulkStopped: 'Stopped: {{n}} decided', bulkMissed: '{{n}} were not decided (perhaps somebody else did)', stop: 'Stop', close: 'Close', more: 'There are more; come again after these.',
}
