/**
 * Every page of the interface, in the order of the menu. A new page is a folder in `features/` and one line here;
 * it is loaded when somebody goes there. `nav: null` keeps a page out of the menu.
 */
import {
  ApiOutlined, AuditOutlined, BellOutlined, BranchesOutlined, ClockCircleOutlined, ClusterOutlined, DashboardOutlined, DiffOutlined, FileTextOutlined, ForkOutlined, HistoryOutlined, MessageOutlined,
  OrderedListOutlined, SettingOutlined, SwapOutlined, TeamOutlined, ThunderboltOutlined, UserOutlined, WarningOutlined,
} from '@ant-design/icons'
import { lazy, type ComponentType, type ReactNode } from 'react'
import type { Role } from './session'

export type Group = 'watch' | 'data' | 'build' | 'admin'

export interface PageEntry {
  path: string
  /** Key of its name in the namespace `pages`. */
  name: string
  nav: { group: Group; icon: ReactNode } | null
  /** The least role that sees it. */
  role?: Role
  view: ComponentType
}

const page = (load: () => Promise<{ default: ComponentType }>): ComponentType => lazy(load)

export const PAGES: PageEntry[] = [
  { path: '/', name: 'overview', nav: { group: 'watch', icon: <DashboardOutlined /> }, view: page(() => import('@/features/overview/overview')) },
  { path: '/events', name: 'events', nav: { group: 'watch', icon: <ThunderboltOutlined /> }, view: page(() => import('@/features/events/events')) },
  { path: '/events/:id', name: 'events', nav: null, view: page(() => import('@/features/events/event')) },
  { path: '/failures', name: 'failures', nav: { group: 'watch', icon: <WarningOutlined /> }, view: page(() => import('@/features/failures/failures')) },
  { path: '/alerts', name: 'alerts', nav: { group: 'watch', icon: <BellOutlined /> }, view: page(() => import('@/features/alerts/alerts')) },
  { path: '/timers', name: 'timers', nav: { group: 'watch', icon: <ClockCircleOutlined /> }, view: page(() => import('@/features/timers/timers')) },
  { path: '/customers', name: 'customers', nav: { group: 'data', icon: <UserOutlined /> }, view: page(() => import('@/features/customers/customers')) },
  { path: '/customers/:link', name: 'customers', nav: null, view: page(() => import('@/features/customers/customer')) },
  { path: '/links', name: 'links', nav: { group: 'data', icon: <ClusterOutlined /> }, view: page(() => import('@/features/links/links')) },
  { path: '/conflicts', name: 'conflicts', nav: { group: 'data', icon: <ForkOutlined /> }, view: page(() => import('@/features/conflicts/conflicts')) },
  { path: '/reconciliations', name: 'reconciliations', nav: { group: 'data', icon: <DiffOutlined /> }, view: page(() => import('@/features/reconciliations/reconciliations')) },
  { path: '/reconciliations/:id', name: 'reconciliations', nav: null, view: page(() => import('@/features/reconciliations/report')) },
  { path: '/backfills', name: 'backfills', nav: { group: 'data', icon: <HistoryOutlined /> }, view: page(() => import('@/features/backfills/backfills')) },
  { path: '/connections', name: 'connections', nav: { group: 'build', icon: <ApiOutlined /> }, view: page(() => import('@/features/connections/connections')) },
  { path: '/connections/new', name: 'connections', nav: null, role: 'editor', view: page(() => import('@/features/connections/gallery')) },
  { path: '/connections/new/:connector', name: 'connections', nav: null, role: 'editor', view: page(() => import('@/features/connections/wizard')) },
  { path: '/connections/:key', name: 'connections', nav: null, view: page(() => import('@/features/connections/connection')) },
  { path: '/routes', name: 'routes', nav: { group: 'build', icon: <BranchesOutlined /> }, view: page(() => import('@/features/routes/routes')) },
  { path: '/routes/recipes', name: 'routes', nav: null, role: 'editor', view: page(() => import('@/features/routes/recipes')) },
  { path: '/routes/:key', name: 'routes', nav: null, view: page(() => import('@/features/routes/route')) },
  { path: '/entities', name: 'entities', nav: { group: 'build', icon: <OrderedListOutlined /> }, view: page(() => import('@/features/entities/entities')) },
  { path: '/mappings', name: 'mappings', nav: { group: 'build', icon: <SwapOutlined /> }, view: page(() => import('@/features/mappings/mappings')) },
  { path: '/mappings/:connector/:name', name: 'mappings', nav: null, view: page(() => import('@/features/mappings/mapping')) },
  { path: '/templates', name: 'templates', nav: { group: 'build', icon: <MessageOutlined /> }, view: page(() => import('@/features/templates/templates')) },
  { path: '/users', name: 'users', nav: { group: 'admin', icon: <TeamOutlined /> }, role: 'owner', view: page(() => import('@/features/users/users')) },
  { path: '/audit', name: 'audit', nav: { group: 'admin', icon: <AuditOutlined /> }, role: 'owner', view: page(() => import('@/features/audit/audit')) },
  { path: '/settings', name: 'settings', nav: { group: 'admin', icon: <SettingOutlined /> }, view: page(() => import('@/features/settings/settings')) },
  { path: '/api-reference', name: 'reference', nav: { group: 'admin', icon: <FileTextOutlined /> }, view: page(() => import('@/features/settings/reference')) },
]
