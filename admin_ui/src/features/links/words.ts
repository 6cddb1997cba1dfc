import type { Twin } from '@/i18n/common'

export const zh = {
  title: '主键对照', lead: '同一张单、同一个客户，在每个系统里叫什么。', find: '输入任一系统里的编号或单号', start: '输入一个编号开始', startHint: '例如店铺订单号、ERP 单据编号、客户编码。', none: '没有找到「{{q}}」', noneHint: '编号需要完整、准确。', history: '怎样对上的', link: '对照 {{id}}',
} as const

export const en: Twin<typeof zh> = {
  title: 'Links', lead: 'What one order or customer is called in each system.', find: 'An id or number in any system', start: 'Enter an id to begin', startHint: 'For instance an order number or a customer code.', none: 'Nothing found for "{{q}}"', noneHint: 'The id must be complete and exact.', history: 'How they came together', link: 'Link {{id}}',
}
