import type { Twin } from '@/i18n/common'

export const zh = {
  title: '客户', lead: '同一个人在各个系统里的资料、订单、发货和消息，合在一起看。', find: '姓名、手机号、邮箱、外部编号', found: '搜索手机号和邮箱时只比对加密摘要，不保存明文。',
  tabs: { all: '全部客户', matches: '疑似同一客户' }, empty: '还没有客户', emptyHint: '连接会带来客户资料的系统后，客户会出现在这里。', none: '没有找到「{{q}}」', noneHint: '请输入完整的手机号、邮箱、姓名或编号。',
  name: '客户', phone: '电话', level: '等级', owner: '负责人', systems: '所在系统', records: '{{n}} 份资料', unnamed: '客户 {{id}}',
  back: '客户', reveal: '显示完整信息', revealed: '已显示完整个人信息（已记入审计日志）', masked: '个人信息已打码',
  about: '基本资料', identities: '身份标识', noIdentities: '没有可用的身份标识', sheet: '各系统里的资料', sheetHint: '同一行里写法不同的已标出。', field: '字段', differs: '各系统不一致',
  story: '经过', storyHint: '订单、发货、售后、消息和定时，从新到旧。', storyNone: '还没有订单、发货或消息', storyAll: '全部', in: '在', amount: '金额', waits: '等到 {{when}}', kinds: { order: '订单', shipment: '发货', after_sale: '售后', message: '消息', timer: '定时', other: '其他' },
  togetherness: '合并与拆分', merge: '合并另一个客户', history: '合并与拆分记录', historyNone: '资料是自动对上的，没有人工改动。', pieces: '由这些客户合并而成', unmerge: '拆回去', unmergeSure: '拆回后，这部分资料重新成为一个独立的客户，不会再自动合并。', unmerged: '已拆分', merged: '已合并',
  matchLead: '枢纽发现这些客户可能是同一个人。请您判断；不确定可以先放着。', matchNone: '没有疑似重复的客户', matchNoneHint: '发现两个客户可能是同一个人时，会在这里请您判断。', confidence: '把握 {{n}}%', sure: { high: '很像', middle: '比较像', low: '有点像' }, because: '依据：', same: '是同一个人，合并', notSame: '不是同一个人', refused: '已记下：不是同一个人', sameSure: '合并后两边的订单、消息会合在一起；合错了可以在客户页面拆回去。', open: '查看', suggestions: '可能是同一个人',
} as const

export const en: Twin<typeof zh> = {
  title: 'Customers', lead: 'What every system knows of one person: details, orders, shipments and messages in one view.', find: 'Name, phone, mail or external id', found: 'Phones and mails are compared by keyed digests only; they are not stored in clear.',
  tabs: { all: 'All customers', matches: 'Perhaps the same' }, empty: 'No customers yet', emptyHint: 'They appear once a system that has customers is connected.', none: 'Nothing found for "{{q}}"', noneHint: 'Enter a complete phone, mail, name or id.',
  name: 'Customer', phone: 'Phone', level: 'Level', owner: 'Owner', systems: 'Known in', records: '{{n}} records', unnamed: 'Customer {{id}}',
  back: 'Customers', reveal: 'Show in full', revealed: 'Personal data is shown in full (audited)', masked: 'Personal data is masked',
  about: 'Details', identities: 'Identities', noIdentities: 'No identities', sheet: 'As each system has it', sheetHint: 'Rows that differ are marked.', field: 'Field', differs: 'The systems differ',
  story: 'Story', storyHint: 'Orders, shipments, after-sales, messages and timers, newest first.', storyNone: 'No orders, shipments or messages yet', storyAll: 'All', in: 'in', amount: 'Amount', waits: 'waits until {{when}}', kinds: { order: 'Order', shipment: 'Shipment', after_sale: 'After-sale', message: 'Message', timer: 'Timer', other: 'Other' },
  togetherness: 'Merging', merge: 'Merge another customer', history: 'How it was joined and parted', historyNone: 'The records were matched by themselves; nobody changed that.', pieces: 'Merged from', unmerge: 'Un-merge', unmergeSure: 'These records become a customer of their own again and are not joined by themselves any more.', unmerged: 'Parted', merged: 'Merged',
  matchLead: 'These customers may be one person. You decide; leave what you are not sure of.', matchNone: 'No likely duplicates', matchNoneHint: 'When two customers may be one, you are asked here.', confidence: '{{n}}% sure', sure: { high: 'Very alike', middle: 'Alike', low: 'Somewhat alike' }, because: 'Because: ', same: 'The same person: merge', notSame: 'Not the same', refused: 'Noted: not the same person', sameSure: 'Orders and messages of both come together; a wrong merge can be undone on the customer’s page.', open: 'Open', suggestions: 'Perhaps the same person',
}
