/**
 * Conditions as rows of a form and as the expression the hub runs, both ways. Whatever the form cannot say stays
 * text: `parse` then answers null and nothing is lost.
 */
export type Op = '==' | '!=' | '>' | '>=' | '<' | '<=' | 'in' | 'contains' | 'startsWith' | 'true' | 'false' | 'exists' | 'missing'

export interface Row {
  field: string
  op: Op
  /** Text as typed; a list for `in` is separated by commas. Unused where the operator needs none. */
  value: string
  /** Whether the value is a number and stands without quotes. */
  numeric: boolean
}

export interface Condition {
  join: '&&' | '||'
  rows: Row[]
}

export const BARE: ReadonlySet<Op> = new Set<Op>(['true', 'false', 'exists', 'missing'])

const quote = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`
const literal = (row: Row, text: string): string => (row.numeric && /^-?\d+(\.\d+)?$/.test(text.trim()) ? text.trim() : quote(text))

export function print({ join, rows }: Condition): string {
  return rows.filter((row) => row.field).map(printRow).join(` ${join} `)
}

function printRow(row: Row): string {
  switch (row.op) {
    case 'true':
      return row.field
    case 'false':
      return `!${row.field}`
    case 'exists':
      return `${row.field} != null`
    case 'missing':
      return `${row.field} == null`
    case 'contains':
    case 'startsWith':
      return `${row.field}.${row.op}(${quote(row.value)})`
    case 'in':
      return `${row.field} in [${row.value.split(/[,，]/).map((one) => one.trim()).filter(Boolean).map((one) => literal(row, one)).join(', ')}]`
    default:
      return `${row.field} ${row.op} ${literal(row, row.value)}`
  }
}

const FIELD = String.raw`[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)+`
const VALUE = String.raw`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+(?:\.\d+)?`
const COMPARED = new RegExp(String.raw`^(${FIELD})\s*(==|!=|>=|<=|>|<)\s*(${VALUE}|null|true|false)$`)
const LISTED = new RegExp(String.raw`^(${FIELD})\s+in\s+\[((?:\s*(?:${VALUE})\s*,?)*)\]$`)
const CALLED = new RegExp(String.raw`^(${FIELD})\.(contains|startsWith)\((${VALUE})\)$`)
const FLAG = new RegExp(String.raw`^(!?)\s*(${FIELD})$`)

/** The rows of an expression, or null when the form cannot say it. */
export function parse(text: string): Condition | null {
  const trimmed = text.trim()
  if (!trimmed) return { join: '&&', rows: [] }
  const parts = apart(trimmed)
  if (!parts) return null
  const rows = parts.parts.map(parseRow)
  return rows.every((row) => row !== null) ? { join: parts.join, rows } : null
}

/** Splits at the top level, outside of quotes; brackets of calls and lists are kept, grouping is not understood. */
function apart(text: string): { join: '&&' | '||'; parts: string[] } | null {
  const parts: string[] = []
  let join: '&&' | '||' | null = null
  let from = 0
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? ''
    if (c === '"' || c === "'") {
      i++
      while (i < text.length && text[i] !== c) i += text[i] === '\\' ? 2 : 1
    } else if ('([{'.includes(c)) depth++
    else if (')]}'.includes(c)) depth--
    else if (depth === 0 && (text.startsWith('&&', i) || text.startsWith('||', i))) {
      const found = text.slice(i, i + 2) as '&&' | '||'
      if (join && join !== found) return null
      join = found
      parts.push(text.slice(from, i))
      from = i + 2
      i++
    }
  }
  parts.push(text.slice(from))
  return { join: join ?? '&&', parts: parts.map((one) => one.trim()) }
}

function unquoted(text: string): { value: string; numeric: boolean } {
  if (/^["']/.test(text)) return { value: text.slice(1, -1).replace(/\\n/g, '\n').replace(/\\(.)/g, '$1'), numeric: false }
  return { value: text, numeric: true }
}

function parseRow(text: string): Row | null {
  const none = { value: '', numeric: false }
  const compared = COMPARED.exec(text)
  if (compared) {
    const [, field = '', op = '', right = ''] = compared
    if (right === 'null') return op === '==' || op === '!=' ? { field, op: op === '==' ? 'missing' : 'exists', ...none } : null
    if (right === 'true' || right === 'false') return op === '==' ? { field, op: right, ...none } : null
    return { field, op: op as Op, ...unquoted(right) }
  }
  const listed = LISTED.exec(text)
  if (listed) {
    const values = (listed[2] ?? '').match(new RegExp(VALUE, 'g'))?.map(unquoted) ?? []
    if (values.some((one) => /[,，]/.test(one.value))) return null
    return { field: listed[1] ?? '', op: 'in', value: values.map((one) => one.value).join(', '), numeric: values.length > 0 && values.every((one) => one.numeric) }
  }
  const called = CALLED.exec(text)
  if (called) return { field: called[1] ?? '', op: called[2] as Op, ...unquoted(called[3] ?? '') }
  const flag = FLAG.exec(text)
  if (flag) return { field: flag[2] ?? '', op: flag[1] ? 'false' : 'true', ...none }
  return null
}
