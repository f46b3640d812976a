/**
 * Lamps of a box without lamps, told instead of lit: each change of the pattern is said once.
 * For the laptop and for tests; after close nothing more is said.
 */
import type { LampPattern, Lamps } from '../driver.js'

export function createLogLamps(say: (pattern: LampPattern) => void): Lamps {
  let shown: LampPattern | 'closed' | undefined

  return {
    show(pattern) {
      if (shown === 'closed' || shown === pattern) return
      shown = pattern
      say(pattern)
    },
    close() {
      shown = 'closed'
      return Promise.resolve()
    },
  }
}
