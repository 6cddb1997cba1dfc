/** When a replay that runs as a job is at work, and when it is over. */
import type { Schemas } from '@/api/client'

type State = Schemas['Replay']['state']

export const BUSY: ReadonlySet<State> = new Set(['waiting', 'running'])
export const TONE: Record<State, string> = { waiting: 'wait', running: 'busy', paused: 'wait', done: 'good', failed: 'bad', cancelled: 'off' }

export const settled = (job: Pick<Schemas['Replay'], 'state'> | undefined): boolean => job?.state === 'done' || job?.state === 'cancelled'

/** What is worth showing: whatever is not over, and the newest few that are. */
export function worth<T extends Pick<Schemas['Replay'], 'state'>>(jobs: T[], few = 3): T[] {
  let over = 0
  return jobs.filter((one) => !settled(one) || ++over <= few)
}
