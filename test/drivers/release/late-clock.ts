/** A clock for what waits in turns: it goes on from alarm to alarm, each of which may ring late. */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../../device/clock.js'

export interface LateClock extends Clock {
  /** At that time exactly, whatever the alarms do. */
  at(time: number, act: () => void): void
  /** How many alarms are waiting to ring. */
  waiting(): number
  /** Goes on until the promise has ended. */
  settle<T>(promise: Promise<T>): Promise<T>
  pass(ms: number): Promise<void>
}

/** `lateMs` is asked for each alarm. Starts at a fraction, as the real clock does. */
export function createLateClock(lateMs: () => number = () => 0): LateClock {
  let time = 1_000.3
  let alarms: readonly { readonly at: number; readonly ring: () => void }[] = []

  const set = (at: number, ring: () => void): (() => void) => {
    const mine = { at, ring }
    alarms = [...alarms, mine]
    return () => { alarms = alarms.filter((alarm) => alarm !== mine) }
  }
  const ringNext = (until: number): boolean => {
    const [next] = alarms.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
    if (next === undefined) return false
    alarms = alarms.filter((alarm) => alarm !== next)
    time = Math.max(time, next.at)
    next.ring()
    return true
  }

  return {
    now: () => time,
    alarm: (at, ring) => set(Math.max(at, time) + lateMs(), ring),
    at(when, act) { set(when, act) },
    waiting: () => alarms.length,
    async settle(promise) {
      let ended = false
      const end = (): void => { ended = true }
      promise.then(end, end)
      for (let rings = 0; ; rings++) {
        await setImmediate()
        if (ended) return promise
        if (!ringNext(Infinity) || rings > 100_000) throw new Error(`nothing more happens at ${time} ms, and it has not ended`)
      }
    },
    async pass(ms) {
      const until = time + ms
      do await setImmediate(); while (ringNext(until))
      time = until
    },
  }
}
