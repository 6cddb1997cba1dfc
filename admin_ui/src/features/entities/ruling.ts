/** Rules per field as choices of a form, and back. A field without a choice follows what is said above it. Pure. */
import type { Schemas } from '@/api/client'

export type Rule = Schemas['EntityRule']
export type Policy = 'newest' | 'rank' | 'manual'
export const POLICIES: Policy[] = ['newest', 'rank', 'manual']
/** `owner:<connection>`, a policy, or nothing of its own. */
export type Choice = `owner:${string}` | Policy | 'none'

/** What a field says for itself. */
export function choiceOf(rule: Rule, path: string): Choice {
  const owner = rule.owners?.[path]
  if (owner) return `owner:${owner}`
  return (rule.fields?.[path] as Policy | undefined) ?? 'none'
}

/** The branch above a field that speaks for it, when it does not for itself. */
export function speaker(rule: Rule, path: string): string | null {
  const parts = path.split('.')
  for (let n = parts.length - 1; n > 0; n--) {
    const above = parts.slice(0, n).join('.')
    if (choiceOf(rule, above) !== 'none') return above
  }
  return null
}

export function choose(rule: Rule, path: string, choice: Choice): Rule {
  const { [path]: _owner, ...owners } = rule.owners ?? {}
  const { [path]: _policy, ...fields } = rule.fields ?? {}
  if (choice.startsWith('owner:')) owners[path] = choice.slice(6)
  else if (choice !== 'none') fields[path] = choice as Policy
  return { ...rule, owners, fields }
}

/** Systems in the order that counts: those ranked first, then the others. */
export function ranked(rule: Rule, systems: readonly string[]): string[] {
  const first = (rule.rank ?? []).filter((one) => systems.includes(one))
  return [...first, ...systems.filter((one) => !first.includes(one))]
}

export function moved(rule: Rule, systems: readonly string[], name: string, by: -1 | 1): Rule {
  const order = ranked(rule, systems)
  const from = order.indexOf(name)
  const to = from + by
  if (from < 0 || to < 0 || to >= order.length) return rule
  order.splice(from, 1)
  order.splice(to, 0, name)
  const gone = (rule.rank ?? []).filter((one) => !systems.includes(one))
  return { ...rule, rank: [...order, ...gone] }
}

/** Whether any field, or all the rest, goes by the order of systems. */
export const needsRank = (rule: Rule): boolean => rule.conflicts === 'rank' || Object.values(rule.fields ?? {}).includes('rank')

/** Every field to be shown: those that travel both ways, and those that the rule names. Branches come before leaves. */
export function paths(fields: readonly string[], rule: Rule): string[] {
  return [...new Set([...fields, ...Object.keys(rule.owners ?? {}), ...Object.keys(rule.fields ?? {})])].sort()
}
