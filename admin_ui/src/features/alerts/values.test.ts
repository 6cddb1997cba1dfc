import { describe, expect, it } from 'vitest'
import { alertOf, counts, values, type Alert, type RuleKind } from './values'

const kind = (name: string, more: Partial<RuleKind> = {}): RuleKind => ({ kind: name, name: { zh: '', en: '' }, at_least: 1, within: 0, lasting: 0, timed: false, growing: false, whole: false, ...more }) as RuleKind
const KINDS = new Map([kind('dead', { growing: true, within: 600 }), kind('difference', { whole: true }), kind('silent', { timed: true }), kind('needs_auth')].map((one) => [one.kind as string, one]))
const STORED = {
  key: 'ops', label: null, rules: [{ kind: 'silent', always: false, connections: ['shop'], for: 7200 }, { kind: 'dead', always: true, at_least: 3, within: 60 }],
  to: [{ connection: 'duty', operation: 'robot.send', recipients: [] }], gather: 60, repeat: 0, resolved: true, language: 'en', enabled: true,
  hours: { days: ['mon', 'tue'], from: '09:00', to: '18:00', zone: 'Europe/Berlin', holidays: ['2026-10-01'], extra: [] },
} as unknown as Alert

describe('the form of an alert', () => {
  it('gives back what is stored, with what it does not show', () => {
    const made = alertOf(values(STORED, 'zh', []), KINDS, STORED)
    expect(made.rules[0]).toMatchObject({ kind: 'silent', connections: ['shop'], for: 7200 })
    expect(made.rules[1]).toMatchObject({ kind: 'dead', always: true, at_least: 3, within: 60 })
    expect(made.to).toEqual([{ connection: 'duty', operation: 'robot.send', recipients: [] }])
    expect(made.hours).toMatchObject({ zone: 'Europe/Berlin', holidays: ['2026-10-01'], from: '09:00', days: ['mon', 'tue'] })
  })

  it('begins with what most want to know, under a free key', () => {
    const made = values(null, 'zh', ['alert-1', 'alert-2'])
    expect(made.key).toBe('alert-3')
    expect(alertOf({ ...made, to: [{ channel: 'duty robot.send' }] }, KINDS, null).hours).toBeNull()
  })

  it('sends nothing that the kind does not know', () => {
    const typed = { kind: 'difference' as const, connections: ['shop'], at_least: 4, within: 60, lasting: 30 }
    const [rule] = alertOf({ ...values(null, 'zh', []), rules: [typed] }, KINDS, null).rules
    expect(rule).toEqual({ kind: 'difference', always: false, connections: [], at_least: null, within: null, for: 30 })
    expect(counts(KINDS.get('needs_auth') as RuleKind)).toBe(false)
    expect(counts(KINDS.get('dead') as RuleKind)).toBe(true)
  })
})
