/** A clock that stands still until a test moves it. Alarms ring in the order of their times, as the real one's do. */
import type { Clock } from '../../device/clock.js'
import type { Millis } from '../../device/sale.js'

export interface FakeClock extends Clock {
  /** How many alarms are waiting to ring. */
  waiting(): number
  /** Moves on, ringing every alarm on the way, also those that are set on the way. */
  advance(ms: Millis): void
}

export function createFakeClock(start: Millis = 1_000): FakeClock {
  let time = start
  let alarms: readonly { readonly at: Millis; readonly ring: () => void }[] = []

  return {
    now: () => time,
    alarm(at, ring) {
      const mine = { at, ring }
      alarms = [...alarms, mine]
      return () => { alarms = alarms.filter((alarm) => alarm !== mine) }
    },
    waiting: () => alarms.length,
    advance(ms) {
      const until = time + ms
      for (let rings = 0; ; rings++) {
        if (rings > 100_000) throw new Error(`alarms ring without end at ${time} ms`)
        const [next] = alarms.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        alarms = alarms.filter((alarm) => alarm !== next)
        time = Math.max(time, next.at)
        next.ring()
      }
      time = until
    },
  }
}
