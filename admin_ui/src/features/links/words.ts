import type { Twin } from '@/i18n/common'

export const zh = {
  title: '主键对照', lead: '同一张单、同一个客户，在每个系统里叫什么。', find: '输入任一系统里的编号或单号', start: '输入一个编号开始', startHint: '例如店铺订单号、ERP 单据编号、客户编码。', none: '没有找到「{{q}}」', noneHint: '编号需要完整、准确。', link: '对照 {{id}}',
  picture: '{{entity}}在 {{n}} 个系统里的 {{records}} 条记录', system: '系统', record: '编号', number: '单号', version: '对方修改时间', wrote: '我们最近写入', table: '所有记录', openEvents: '查看事件', openCustomer: '客户全景',
  history: '怎样对上的', historyNone: '一直是一条记录，没有合并或拆分。', moved: '从对照 {{was}} 归入 {{became}}', stayed: '归入对照', cause: { identity: '按身份标识自动对上', delivery: '写入对方时对上', person: '人工合并', split: '人工拆分', match: '确认为同一客户' },
  merge: '与另一组合并', mergeTitle: { customer: '把「{{name}}」与另一个客户合并', link: '把「{{name}}」与另一组对照合并' }, mergeHint: { customer: '先找到另一个客户。合并后两边的资料、订单和消息合在一起，较早的客户编号保留。', link: '先找到另一组对照，例如拆开的子订单与它的父订单。' }, mergeFind: { customer: '姓名、手机号、邮箱、外部编号', link: '任一系统里的编号或单号' }, mergeWith: '选择要合并的对象', mergeGo: '合并', mergeSure: '合并会记入审计日志。合错了可以拆回去。', merged: '已合并', reason: '原因', reasonHint: '例如：同一位买家用了两个手机号',
  pieces: '由这些合并而成', unmerge: '拆回去', unmergeSure: '拆回后重新成为独立的一组，不会再自动合并。', parted: '已拆分',
  split: '拆出选中的 {{n}} 条', splitNone: '勾选要拆出的记录', splitSure: '拆出的记录自成一组，之后不会再自动归到一起。', splitAll: '至少要留下一条',
} as const

export const en: Twin<typeof zh> = {
  title: 'Links', lead: 'What one order or customer is called in each system.', find: 'An id or number in any system', start: 'Enter an id to begin', startHint: 'For instance an order number or a customer code.', none: 'Nothing found for "{{q}}"', noneHint: 'The id must be complete and exact.', link: 'Link {{id}}',
  picture: '{{entity}}: {{records}} records in {{n}} systems', system: 'System', record: 'Id', number: 'Number', version: 'Changed over there', wrote: 'We last wrote', table: 'All records', openEvents: 'See events', openCustomer: 'The customer',
  history: 'How they came together', historyNone: 'Always one record; never joined or parted.', moved: 'from link {{was}} into {{became}}', stayed: 'into the link', cause: { identity: 'matched by identity', delivery: 'matched when it was written', person: 'merged by a person', split: 'parted by a person', match: 'confirmed as the same customer' },
  merge: 'Merge with another', mergeTitle: { customer: 'Merge "{{name}}" with another customer', link: 'Merge "{{name}}" with another link' }, mergeHint: { customer: 'Find the other customer first. Details, orders and messages of both come together; the older one keeps its id.', link: 'Find the other link first, for instance the parts of a parent order.' }, mergeFind: { customer: 'Name, phone, mail or external id', link: 'An id or number in any system' }, mergeWith: 'What to merge with', mergeGo: 'Merge', mergeSure: 'A merge is audited, and a wrong one can be undone.', merged: 'Merged', reason: 'Reason', reasonHint: 'For instance: one buyer with two phones',
  pieces: 'Merged from', unmerge: 'Un-merge', unmergeSure: 'It becomes a link of its own again and is not joined by itself any more.', parted: 'Parted',
  split: 'Part the {{n}} chosen', splitNone: 'Choose what to part', splitSure: 'What is parted becomes a link of its own and is not joined by itself any more.', splitAll: 'At least one must stay',
}
