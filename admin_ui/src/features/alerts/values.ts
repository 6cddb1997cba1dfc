/** Between an alert as the API has it and the values of its form. Times are seconds in both. */
import type { Schemas } from '@/api/client'

export type Alert = Schemas['Alert-Output']
export type Kind = Schemas['Rule']['kind']
export type RuleKind = Schemas['RuleKind']
export type Day = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun'
export const DAYS: Day[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

export interface RuleValues {
  kind: Kind
  connections?: string[]
  at_least?: number | null
  within?: number | null
  lasting?: number | null
  always?: boolean
}

export interface AlertValues {
  key: string
  label?: string
  rules: RuleValues[]
  /** `channel` is connection and operation with a blank between: neither has one. */
  to: { channel?: string; recipients?: string[] }[]
  gather: number
  repeat: number
  limited: boolean
  from: string
  until: string
  days: Day[]
  resolved: boolean
  language: 'zh' | 'en'
  enabled: boolean
}

/** What most want to know, for somebody who begins. */
const USUAL: Kind[] = ['needs_auth', 'parked', 'dead', 'overdue', 'difference']

export function values(alert: Alert | null, language: 'zh' | 'en', keys: string[]): AlertValues {
  if (!alert) {
    return {
      key: free(keys), rules: USUAL.map((kind) => ({ kind })), to: [{}], gather: 60, repeat: 4 * 3600,
      limited: false, from: '08:00', until: '22:00', days: DAYS, resolved: true, language, enabled: true,
    }
  }
  return {
    key: alert.key,
    label: alert.label ?? undefined,
    rules: alert.rules.map(({ for: lasting, ...rest }) => ({ ...rest, lasting })),
    to: alert.to.map((one) => ({ channel: `${one.connection} ${one.operation}`, recipients: one.recipients ?? [] })),
    gather: alert.gather, repeat: alert.repeat,
    limited: Boolean(alert.hours), from: alert.hours?.from ?? '08:00', until: alert.hours?.to ?? '22:00', days: (alert.hours?.days as Day[] | undefined) ?? DAYS,
    resolved: alert.resolved, language: alert.language, enabled: alert.enabled,
  }
}

export function alertOf(given: AlertValues, kinds: Map<string, RuleKind>, before: Alert | null): Schemas['Alert-Input'] {
  return {
    key: given.key,
    label: given.label || null,
    rules: given.rules.map((one) => rule(one, kinds.get(one.kind))),
    to: given.to.map(({ channel = '', recipients }) => {
      const [connection = '', operation = ''] = channel.split(' ')
      return { connection, operation, recipients: recipients ?? [] }
    }),
    gather: given.gather,
    repeat: given.repeat,
    // What the form does not show (holidays, another zone) stays as it is.
    hours: given.limited ? { zone: 'Asia/Shanghai', ...before?.hours, days: given.days, from: given.from, to: given.until } : null,
    resolved: given.resolved,
    language: given.language,
    enabled: given.enabled,
  }
}

/** Only what the kind knows is sent: the form keeps what was typed for another kind. */
function rule(given: RuleValues, nature: RuleKind | undefined): Schemas['Rule'] {
  const windowed = nature ? nature.growing || given.kind === 'expiring' : true
  return {
    kind: given.kind,
    always: given.always ?? false,
    connections: nature?.whole ? [] : (given.connections ?? []),
    at_least: nature && !counts(nature) ? null : (given.at_least ?? null),
    within: windowed ? (given.within ?? null) : null,
    for: given.lasting ?? null,
  }
}

/** Whether a kind is counted: a lost authorisation is there or not. */
export const counts = (nature: RuleKind): boolean => !nature.timed && !['expiring', 'needs_auth', 'breaker', 'difference'].includes(nature.kind)

function free(keys: string[]): string {
  for (let n = 1; ; n += 1) if (!keys.includes(`alert-${n}`)) return `alert-${n}`
}
