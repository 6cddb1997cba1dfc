import { describe, expect, it } from 'vitest'
import { applies, refers, split, starting, type FormField } from './form-values'

const field = (key: string, more: Partial<FormField> = {}): FormField => ({ key, label: { zh: key, en: key }, type: 'string', secret: false, required: false, choices: [], when: {}, ...more }) as FormField
const FIELDS = [field('style', { type: 'choice', default: 'signed' }), field('url', { type: 'url', required: true }), field('key', { secret: true, when: { style: ['signed', 'app'] } }), field('password', { secret: true, when: { style: 'password' } }), field('extra', { type: 'json' }), field('on', { type: 'boolean' })]

describe('what a form sends', () => {
  it('asks only for what applies, with the default in force until something is chosen', () => {
    const key = FIELDS[2] as FormField
    expect(applies(key, {}, FIELDS)).toBe(true)
    expect(applies(key, { style: 'password' }, FIELDS)).toBe(false)
  })

  it('sends secrets only where they were typed, and empty ones only to clear', () => {
    const { config, secrets } = split(FIELDS, { url: 'http://a', key: '', password: 'not asked for' }, new Set())
    expect(config).toEqual({ url: 'http://a' })
    expect(secrets).toEqual({})
    expect(split(FIELDS, { url: 'x', key: 's3' }, new Set()).secrets).toEqual({ key: 's3' })
    expect(split(FIELDS, { url: 'x' }, new Set(['key'])).secrets).toEqual({ key: '' })
  })

  it('knows a place from a secret', () => {
    expect(['file:/run/x', 'vault:kv/a#b', 'env:KEY'].every(refers)).toBe(true)
    expect(['file:', 'profile:/x', 's3cret', '', undefined].some(refers)).toBe(false)
  })

  it('parses JSON and refuses what is none', () => {
    expect(split(FIELDS, { extra: '{"a": [1]}' }, new Set()).config).toEqual({ extra: { a: [1] } })
    expect(() => split(FIELDS, { extra: '{' }, new Set())).toThrow(SyntaxError)
  })

  it('starts from what is stored, never with a secret', () => {
    expect(starting(FIELDS, { url: 'u', extra: { a: 1 }, key: 'leak' })).toEqual({ style: 'signed', url: 'u', extra: '{\n  "a": 1\n}', on: undefined })
  })
})
