import type { Twin } from './common'

/** Names of the pages, as the menu and the window's title say them. */
export const zh = {
  overview: '总览', events: '事件', failures: '失败处理', alerts: '告警', links: '主键对照', connections: '连接', routes: '路由', mappings: '字段映射', templates: '消息模板',
  customers: '客户', conflicts: '冲突', reconciliations: '对账', timers: '定时', backfills: '历史导入', entities: '以谁为准',
  users: '用户与令牌', audit: '审计日志', settings: '设置', reference: '接口文档',
} as const

export const en: Twin<typeof zh> = {
  overview: 'Overview', events: 'Events', failures: 'Failures', alerts: 'Alerts', links: 'Links', connections: 'Connections', routes: 'Routes', mappings: 'Mappings', templates: 'Templates',
  customers: 'Customers', conflicts: 'Conflicts', reconciliations: 'Reconciliation', timers: 'Timers', backfills: 'Backfills', entities: 'Whose word counts',
  users: 'Users and tokens', audit: 'Audit log', settings: 'Settings', reference: 'API reference',
}
