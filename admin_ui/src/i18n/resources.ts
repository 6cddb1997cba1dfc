/** Every feature's words, under its own name. */
import * as alerts from '@/features/alerts/words'
import * as audit from '@/features/audit/words'
import * as backfills from '@/features/backfills/words'
import * as conflicts from '@/features/conflicts/words'
import * as connections from '@/features/connections/words'
import * as customers from '@/features/customers/words'
import * as entities from '@/features/entities/words'
import * as events from '@/features/events/words'
import * as failures from '@/features/failures/words'
import * as links from '@/features/links/words'
import * as mappings from '@/features/mappings/words'
import * as overview from '@/features/overview/words'
import * as reconciliations from '@/features/reconciliations/words'
import * as routes from '@/features/routes/words'
import * as settings from '@/features/settings/words'
import * as templates from '@/features/templates/words'
import * as timers from '@/features/timers/words'
import * as users from '@/features/users/words'
import * as common from './common'
import * as login from './login'
import * as pages from './pages'

export const resources = {
  zh: {
    common: common.zh, pages: pages.zh, login: login.zh, overview: overview.zh, connections: connections.zh, routes: routes.zh, events: events.zh, failures: failures.zh, links: links.zh, mappings: mappings.zh,
    templates: templates.zh, users: users.zh, audit: audit.zh, alerts: alerts.zh, settings: settings.zh,
    customers: customers.zh, conflicts: conflicts.zh, reconciliations: reconciliations.zh, timers: timers.zh, backfills: backfills.zh, entities: entities.zh,
  },
  en: {
    common: common.en, pages: pages.en, login: login.en, overview: overview.en, connections: connections.en, routes: routes.en, events: events.en, failures: failures.en, links: links.en, mappings: mappings.en,
    templates: templates.en, users: users.en, audit: audit.en, alerts: alerts.en, settings: settings.en,
    customers: customers.en, conflicts: conflicts.en, reconciliations: reconciliations.en, timers: timers.en, backfills: backfills.en, entities: entities.en,
  },
} as const
