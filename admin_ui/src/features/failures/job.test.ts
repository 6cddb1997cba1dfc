import { expect, it } from 'vitest'
import { settled, worth } from './job'

it('shows whatever is not over, and the newest few that are', () => {
  const jobs = (['done', 'running', 'done', 'cancelled', 'done', 'failed'] as const).map((state, id) => ({ id, state }))
  expect(worth(jobs, 2).map((one) => one.id)).toEqual([0, 1, 2, 5])
})

it('is over when done or cancelled, not when it failed: that one can go on', () => {
  expect([undefined, { state: 'failed' as const }, { state: 'paused' as const }, { state: 'done' as const }, { state: 'cancelled' as const }].map((one) => settled(one))).toEqual([false, false, false, true, true])
})
