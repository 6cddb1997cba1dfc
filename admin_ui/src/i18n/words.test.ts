import { expect, it } from 'vitest'
import { resources } from './resources'

function flat(words: object, before = ''): [string, string][] {
  return Object.entries(words).flatMap(([key, one]: [string, unknown]) => (typeof one === 'string' ? [[before + key, one] as [string, string]] : flat(one as object, `${before}${key}.`)))
}

it('both languages have every word, with the same marks', () => {
  const zh = new Map(flat(resources.zh))
  const en = new Map(flat(resources.en))
  expect([...en.keys()].sort()).toEqual([...zh.keys()].sort())
  const marks = (text: string): string[] => (text.match(/\{\{\w+\}\}/g) ?? []).sort()
  for (const [key, text] of zh) expect(marks(en.get(key) ?? ''), key).toEqual(marks(text))
})

it('no Chinese is left in the English words', () => {
  expect(flat(resources.en).filter(([, text]) => /[\u4e00-\u9fff]/.test(text))).toEqual([])
})
