/** The gateway's time. Its deadlines live in the database, so they are on the wall clock. */
export interface Clock {
  /** Milliseconds since 1970 */
  now(): number
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  alarm(at: number, ring: () => void): () => void
}

/** setTimeout cannot wait longer than this; an alarm further away rings early and is set again by who asked. */
const WAIT_MS_MAX = 2_147_483_647

export const wallClock: Clock = {
  now: () => Date.now(),
  alarm(at, ring) {
    const timer = setTimeout(ring, Math.min(Math.max(at - Date.now(), 0), WAIT_MS_MAX))
    return () => clearTimeout(timer)
  },
}
