/**
 * The terminal's time. A small board has no battery clock, so every deadline is on the monotonic clock, which counts
 * from the start of the machine and never jumps. Wall time is for logs and nothing else.
 */
import type { Millis } from './sale.js'

export interface Clock {
  /** Milliseconds that never go backwards. */
  now(): Millis
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  alarm(at: Millis, ring: () => void): () => void
}

export const monotonicClock: Clock = {
  now: () => performance.now(),
  alarm(at, ring) {
    const timer = setTimeout(ring, Math.max(Math.ceil(at - performance.now()), 0))
    return () => clearTimeout(timer)
  },
}
