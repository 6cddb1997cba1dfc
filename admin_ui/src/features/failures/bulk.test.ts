import { expect, it } from 'vitest'
import { inPortions, type Portion, type Tally } from './bulk'

const portions = (...sizes: number[]) => {
  const left = [...sizes]
  return async (): Promise<Portion> => ({ replayed: left.shift() ?? 0, missed: 0, more: left.length > 0 })
}

it('goes on until nothing is left and tells after each portion', async () => {
  const told: number[] = []
  expect(await inPortions(portions(100, 100, 7), () => false, (one) => told.push(one.done))).toEqual({ done: 207, skipped: 0, over: true, stopped: false })
  expect(told).toEqual([100, 200, 207, 207])
})

it('stops between portions when asked to', async () => {
  let seen: Tally | undefined
  const made = await inPortions(portions(100, 100, 100), () => (seen?.done ?? 0) >= 200, (one) => (seen = one))
  expect(made).toMatchObject({ done: 200, stopped: true })
})

it('ends when a portion moves nothing, whatever the server says', async () => {
  let asked = 0
  await inPortions(async () => ({ replayed: 0, missed: 0, more: ++asked < 1000 }), () => false, () => undefined)
  expect(asked).toBe(1)
})
