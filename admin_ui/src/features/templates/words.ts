import type { Twin } from '@/i18n/common'

export const zh = {
  title: '消息模板', lead: '路由发送通知时用的文字。花括号里的内容会替换成真实数据。', create: '新建模板', empty: '还没有模板', emptyHint: '例如发货通知：订单 {order.number} 已由 {shipment.carrier_name} 发出。',
  key: '模板标识', keyBad: '只能用小写字母、数字、短横线和下划线', heading: '标题', text: '正文', recipients: '发给谁', recipientsHint: '对方系统里的编号；{contact.owner} 是负责这位客户的同事。', url: '链接', format: '格式', plain: '纯文本', markdown: 'Markdown',
  insert: '插入', preview: '预览', edit: '编辑模板', sure: '确定删除模板 {{key}}？',
  vars: { order_number: '订单号', order_total: '订单金额', shipment_carrier_name: '快递公司', shipment_tracking_number: '运单号', customer_name: '客户姓名', contact_owner: '负责人', event_connection: '来源连接' },
} as const

export const en: Twin<typeof zh> = {
  title: 'Templates', lead: 'The words of notifications. What stands in braces becomes real data.', create: 'New template', empty: 'No templates yet', emptyHint: 'For instance: order {order.number} was sent by {shipment.carrier_name}.',
  key: 'Key', keyBad: 'Lower-case letters, digits, hyphens and underscores', heading: 'Title', text: 'Text', recipients: 'Recipients', recipientsHint: 'Ids in the target system; {contact.owner} is the colleague who looks after this customer.', url: 'Link', format: 'Format', plain: 'Plain text', markdown: 'Markdown',
  insert: 'Insert', preview: 'Preview', edit: 'Edit template', sure: 'Remove the template {{key}}?',
  vars: { order_number: 'Order number', order_total: 'Order total', shipment_carrier_name: 'Carrier', shipment_tracking_number: 'Tracking number', customer_name: 'Customer', contact_owner: 'Owner', event_connection: 'Source' },
}
