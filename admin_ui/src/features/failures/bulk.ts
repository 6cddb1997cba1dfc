/** Replaying many in portions, so that there is progress to see and a moment to stop at. */
export interface Tally {
  done: number
  skipped: number
  over: boolean
  stopped: boolean
}

export interface Portion {
  /** How many were set going. */
  replayed: number
  /** How many were tried but had nothing to replay. */
  missed: number
  /** Whether there may be more. */
  more: boolean
}

/** Runs portions until nothing is left or `stop` says so; tells after each. A portion that moves nothing ends it. */
export async function inPortions(next: () => Promise<Portion>, stop: () => boolean, tell: (tally: Tally) => void): Promise<Tally> {
  const tally: Tally = { done: 0, skipped: 0, over: false, stopped: false }
  for (;;) {
    if (stop()) {
      tally.stopped = true
      break
    }
    const portion = await next()
    tally.done += portion.replayed
    tally.skipped += portion.missed
    tell({ ...tally })
    if (!portion.more || portion.replayed + portion.missed === 0) break
  }
  tally.over = true
  tell({ ...tally })
  return tally
}
