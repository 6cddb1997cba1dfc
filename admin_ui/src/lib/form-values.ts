/** From what a form holds to what the API takes: config as a whole, secrets only where they change. */
import type { Schemas } from '@/api/client'

export type FormField = Schemas['FormField']
export type Values = Record<string, unknown>

/** Whether a field is asked for, given what the other fields hold. */
export function applies(field: Pick<FormField, 'when'>, values: Values, fields: FormField[]): boolean {
  return Object.entries(field.when ?? {}).every(([key, wanted]) => {
    const fallback = fields.find((one) => one.key === key)?.default
    const value = values[key] ?? fallback
    const text = typeof value === 'boolean' ? String(value) : String(value ?? '')
    return (Array.isArray(wanted) ? wanted : [wanted]).includes(text)
  })
}

/** Whether what was typed in place of a secret says where it is. */
export function refers(value: unknown): boolean {
  return typeof value === 'string' && /^(file|vault|env):./.test(value)
}

/** The form's starting values: what is stored, else the declared default. */
export function starting(fields: FormField[], config: Values): Values {
  const made: Values = {}
  for (const field of fields) {
    if (field.secret) continue
    const value = config[field.key] ?? field.default ?? undefined
    made[field.key] = field.type === 'json' && value !== undefined && typeof value !== 'string' ? JSON.stringify(value, null, 2) : value
  }
  return made
}

/** What is sent. Empty optional fields are left out, fields that do not apply too; JSON is parsed (throws SyntaxError). */
export function split(fields: FormField[], values: Values, cleared: ReadonlySet<string>): { config: Values; secrets: Record<string, string> } {
  const config: Values = {}
  const secrets: Record<string, string> = {}
  for (const field of fields) {
    const value = values[field.key]
    if (field.secret) {
      if (cleared.has(field.key)) secrets[field.key] = ''
      else if (typeof value === 'string' && value !== '' && applies(field, values, fields)) secrets[field.key] = value
      continue
    }
    if (!applies(field, values, fields) || value === undefined || value === null || value === '') continue
    config[field.key] = field.type === 'json' && typeof value === 'string' ? (JSON.parse(value) as unknown) : value
  }
  return { config, secrets }
}
