import type { Twin } from '@/i18n/common'

export const zh = {
  title: '以谁为准', lead: '同一个客户、同一张单在几个系统里都能改时，哪个字段听谁的。改动只影响以后的变更。',
  none: '还没有双向同步的业务对象', noneHint: '当两条路由让两个系统互相更新同一种业务对象时，在这里定下哪个字段以谁为准。', oneWay: '只有一个方向在同步，不会有冲突，不用设置。', both: '{{systems}} 会互相更新', warning: '还没有说清楚',
  otherwise: '没有特别指定的字段', policy: { newest: '较晚的修改算数', rank: '按系统的次序', manual: '由人决定' }, hint: { newest: '最常用：谁最后改，就用谁的。', rank: '排在前面的系统说了算。', manual: '双方先各自保留，到「冲突」里由人选择。' },
  rank: '系统次序', rankHint: '从上到下，越靠前越优先。', up: '往前移 {{name}}', down: '往后移 {{name}}', matrix: '逐个字段指定', matrixHint: '选系统表示只以它为准，别处的修改会被改回。', field: '字段', asDefault: '不指定', owner: '以 {{name}} 为准', short: { newest: '较晚', rank: '次序', manual: '人工' }, inherited: '跟随「{{name}}」', find: '查找字段',
  saved: '已保存，以后的变更按新规则', changed: '有未保存的修改', conflicts: '查看冲突', add: '其他业务对象',
} as const

export const en: Twin<typeof zh> = {
  title: 'Whose word counts', lead: 'Where several systems may change one customer or order: which field follows whom. It holds for changes from now on.',
  none: 'Nothing travels both ways yet', noneHint: 'When two routes let two systems keep each other up to date, say here whose word counts for which field.', oneWay: 'Travels one way only; there can be no conflict and nothing to set.', both: '{{systems}} keep each other up to date', warning: 'Not said yet',
  otherwise: 'Fields without a rule of their own', policy: { newest: 'The later change counts', rank: 'By the order of the systems', manual: 'A person decides' }, hint: { newest: 'Most common: whoever changed it last.', rank: 'The system further up has its way.', manual: 'Both keep their own until somebody decides under Conflicts.' },
  rank: 'Order of the systems', rankHint: 'From top to bottom, the first counts most.', up: 'Move {{name}} up', down: 'Move {{name}} down', matrix: 'Field by field', matrixHint: 'A system: its word alone counts, changes elsewhere are written back.', field: 'Field', asDefault: 'No rule', owner: '{{name}} counts', short: { newest: 'Later', rank: 'Order', manual: 'Person' }, inherited: 'as "{{name}}"', find: 'Find a field',
  saved: 'Saved; it holds from now on', changed: 'Not saved yet', conflicts: 'See conflicts', add: 'Other entities',
}
