/**
 * The terminal's time. A small board has no battery clock, so every deadline is on the monotonic clock, which counts
 * from the start of this process and never jumps. Wall time is for logs and nothing else.
 */
import type { Millis } from './sale.js'

export interface Clock {
  /** Milliseconds that never go backwards. */
  now(): Millis
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  alarm(at: Millis, ring: () => void): () => void
}

/** setTimeout takes no longer wait. */
const WAIT_MS_MAX = 2_147_483_647

export const monotonicClock: Clock = {
  now: () => performance.now(),
  alarm(at, ring) {
    let timer: NodeJS.Timeout
    const wait = (): void => {
      const leftMs = Math.min(Math.max(Math.ceil(at - performance.now()), 0), WAIT_MS_MAX)
      // Node's timers count whole milliseconds, and may ring a part of one too early.
      timer = setTimeout(() => { if (performance.now() < at) wait(); else ring() }, leftMs)
    }
    wait()
    return () => clearTimeout(timer)
  },
}
