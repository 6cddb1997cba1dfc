import { expect, it } from 'vitest'
import { clock, exact, inSeconds, span, day, wait } from './time'

it('takes the largest unit that fits', () => expect([span(59), span(60), span(7300), span(90000)].map(({ n, unit }) => `${n}${unit}`)).toEqual(['59s', '1m', '2h', '1d']))
it.each([[0, '0s'], [90, '90s'], [120, '2m'], [259200, '3d']])('shows %d s as a form may edit it', (seconds, text) => {
  const { n, unit } = exact(seconds)
  expect(`${n}${unit}`).toBe(text)
  expect(inSeconds(n, unit)).toBe(seconds)
})
it('names the day only when it is another', () => {
  const now = new Date(2026, 10, 22, 12)
  expect(clock(new Date(2026, 10, 22, 9, 5, 7).toISOString(), now)).toBe('09:05:07')
  expect(clock(new Date(2026, 10, 21, 9, 5, 7).toISOString(), now)).toBe('11-21 09:05:07')
  expect(clock(new Date(2025, 0, 2, 9, 5, 7).toISOString(), now)).toBe('2025-01-02 09:05:07')
  expect(clock('nonsense', now)).toBe('nonsense')
})

it('says the day of both ends of a window', () => {
  const now = new Date('2026-05-05T12:00:00')
  expect(day('2026-05-05T08:01:59', now)).toBe('05-05 08:01')
  expect(day('2025-12-31T23:00:00', now)).toBe('2025-12-31 23:00')
})

it('says a wait in its two largest units', () => {
  expect(wait(2 * 86400 + 23 * 3600 + 59)).toEqual([{ n: 2, unit: 'd' }, { n: 23, unit: 'h' }])
  expect([wait(3600), wait(125), wait(7), wait(-5)]).toEqual([[{ n: 1, unit: 'h' }], [{ n: 2, unit: 'm' }], [{ n: 7, unit: 's' }], [{ n: 0, unit: 's' }]])
})
